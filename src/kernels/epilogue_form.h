// What a contraction's epilogue computes, where libraries have a name for it.
#pragma once

#include <cstdint>

#include "core/scalar_program.h"

namespace reprise::kernels {

enum class Activation : std::uint8_t { identity, relu, gelu, gelu_tanh, silu, sigmoid, tanh, hardswish, hardsigmoid, other };

struct EpilogueForm {
  Activation activation = Activation::identity;
  bool adds = false;  // activation(input 0 + input 1); else activation(input 0). With `other`, undefined
};

/// Recognized by the shape of the expression, whatever it rounds in between. `program`: one output, the contraction's result is input 0.
EpilogueForm classify_epilogue(const core::ScalarProgram& program);

}  // namespace reprise::kernels
