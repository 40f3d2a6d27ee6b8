// What the caller says of an input when compiling.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reprise/dtype.h"

namespace reprise {

/// Bounds of one input's sizes for one optimization profile. Leave all shapes empty to take the exported range.
/// min <= opt <= max per dimension, inside the exported range; a static dimension must be given as exported.
struct Input {
  std::vector<std::int64_t> min_shape = {}, opt_shape = {}, max_shape = {};
  std::optional<DType> dtype = std::nullopt;  // checked against the signature
  std::string name = {};                      // empty: by position
};

}  // namespace reprise
