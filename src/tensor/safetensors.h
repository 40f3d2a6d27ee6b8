// Safetensors files: an 8-byte header length, a JSON header, then the data. Read from hostile bytes; tensors refer to the mapping.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "reprise/tensor.h"
#include "tensor/npz.h"

namespace reprise::tensor {

struct Safetensors {
  std::vector<NamedTensor> tensors;             // in the order of their data
  std::map<std::string, std::string> metadata;  // __metadata__
};

/// Tensors share the file's mapping where their data is aligned for their type, and own a copy elsewhere. They must not be written.
/// Throws FormatError naming the file and tensor: overlapping or missing ranges, unknown types, sizes that disagree.
Safetensors load_safetensors(const std::filesystem::path& path);
/// Copies what it keeps.
Safetensors parse_safetensors(base::Bytes bytes, const std::string& label);

/// CPU tensors with any strides. Throws WriteError; a regular destination is replaced only when all is written.
void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors, const std::map<std::string, std::string>& metadata = {});

}  // namespace reprise::tensor
