// NumPy's .npz archives: how test data and results travel.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reprise/tensor.h"

namespace reprise {

/// Arrays in the archive's order, names without ".npy", each with storage of its own. bool, integers, f16, f32, f64. Throws FormatError naming file and array.
std::vector<std::pair<std::string, Tensor>> load_npz(const std::string& path);

/// Stored uncompressed; bf16, which NumPy does not know, is written as f32. The file is replaced only when all is written. Throws WriteError.
void save_npz(const std::string& path, std::span<const std::pair<std::string, Tensor>> arrays);

}  // namespace reprise
