// Arguments of a call from `.npz` arrays or at random, and results back to arrays.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan.h"
#include "reprise/module.h"
#include "tensor/npz.h"

namespace reprise::cli {

/// One Argument per flattened user input. Arrays are found as `input_<i>` (i counts flattened user inputs) or by the input's name; f32 arrays are
/// taken for bf16 inputs; constants may be absent. Throws InvalidArgument naming what is missing or left over.
std::vector<Argument> arguments_from(const std::vector<tensor::NamedTensor>& arrays, const plan::Plan& plan);

/// Random tensors of the first profile's opt sizes: reals from a standard normal, integers from the program's samples (else 0 and 1), reproducible by seed.
std::vector<Argument> random_arguments(const plan::Plan& plan, std::uint64_t seed);

/// `<prefix>_<i>` per flattened output; None is left out.
std::vector<tensor::NamedTensor> arrays_from(const std::vector<Argument>& outputs, const std::string& prefix);

/// The same with bf16 widened to f32, which `.npz` can hold.
std::vector<tensor::NamedTensor> widened(std::vector<tensor::NamedTensor> arrays);

}  // namespace reprise::cli
