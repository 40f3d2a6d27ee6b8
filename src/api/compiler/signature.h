// Which arguments of a custom op are written, by the alias marks of its schema.
#pragma once

#include <string>
#include <vector>

#include "ops/converter.h"

namespace reprise::api {

struct Signature {
  ops::Schema schema;
  /// The alias marks of parameters and of results: "a" of "Tensor(a!) x", empty for what is not written.
  std::vector<std::string> written, returned;
};

/// Of "space::op(parameters) -> results". Throws InvalidArgument on bad text.
[[nodiscard]] Signature parse_signature(const std::string& text);

}  // namespace reprise::api
