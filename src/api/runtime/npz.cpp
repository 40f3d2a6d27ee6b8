#include "reprise/npz.h"

#include "tensor/npz.h"

namespace reprise {

std::vector<std::pair<std::string, Tensor>> load_npz(const std::string& path) { return tensor::load_npz(path); }

void save_npz(const std::string& path, std::span<const std::pair<std::string, Tensor>> arrays) { tensor::save_npz(path, arrays); }

}  // namespace reprise
