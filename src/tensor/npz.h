// NumPy's .npy and .npz files (format versions 1.0 to 3.0), read from hostile bytes.
//
// Taken: bool, u8, u16, u32, u64, i8, i16, i32, i64, f16, f32, f64, of either byte order, C and Fortran order, any rank up to 32. bf16, which NumPy
// does not know, is written as f32. Refused by name: complex, object, string, structured and time types.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/zip.h"
#include "reprise/tensor.h"

namespace reprise::tensor {

using NamedTensor = std::pair<std::string, Tensor>;

/// An .npz in memory or on disk: arrays in the archive's order, names without ".npy". Every tensor owns its data.
/// Throws FormatError naming the file and the array. Limits: those of ZipOptions, and an array's bytes must all be in the file.
std::vector<NamedTensor> load_npz(const std::filesystem::path& path);
std::vector<NamedTensor> parse_npz(base::Bytes archive, const std::string& label, base::ZipOptions options = {});

/// One .npy. `label` begins messages.
Tensor load_npy(const std::filesystem::path& path);
Tensor parse_npy(base::Bytes bytes, const std::string& label);

/// Stored, uncompressed, C order. CPU tensors with any strides. Throws WriteError; a regular destination is replaced only when all is written.
void save_npz(const std::filesystem::path& path, std::span<const NamedTensor> tensors);
void save_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace reprise::tensor
