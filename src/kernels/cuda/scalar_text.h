// Scalar programs as CUDA text: what pointwise kernels compute, and what other kernels compute on the way in and out.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/scalar_program.h"

namespace reprise::kernels::cuda {

struct ScalarText {
  std::string body;                  // statements, two spaces deep
  std::vector<std::string> outputs;  // expressions of the stored values; `store_text` rounds them
  bool special = false;              // needs special.cuh, else scalar.cuh is enough
};

/// `input(i)`: an expression of type compute_t<dtype of input i>; `symbol(i)`: one of type double or i64_t. Values are named `<prefix>0`, `<prefix>1`, …
ScalarText emit_scalar_program(const core::ScalarProgram& program, const std::string& prefix, const std::function<std::string(int)>& input,
                               const std::function<std::string(int)>& symbol);

/// The type that values of a dtype are computed in: "f32_t" for f16.
std::string compute_type_name(DType dtype);

}  // namespace reprise::kernels::cuda
