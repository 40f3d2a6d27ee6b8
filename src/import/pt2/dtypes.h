// Element types by the schema's numbers (c10's plus one).
#pragma once

#include <optional>
#include <string_view>

#include "reprise/dtype.h"

namespace reprise::import {

/// nullopt: one that Reprise has no type for (complex numbers, 8-bit floats), or no type at all.
std::optional<DType> dtype_of(int scalar_type);
/// PyTorch's name of any of them, "an unknown type" otherwise.
std::string_view scalar_type_name(int scalar_type);

}  // namespace reprise::import
