// Ops on rows that lie densely in memory: normalizations, softmax, reductions. Each factory gives null for what the reference kernel is to do.
#pragma once

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

StepPtr make_norm(const StepSpec& spec);
StepPtr make_softmax(const StepSpec& spec);
StepPtr make_reduce(const StepSpec& spec);
/// index, along the first dimension of a table that lies in a file.
StepPtr make_file_rows(const StepSpec& spec);

/// f32, f16 or bf16: what vectors of floats are read from.
constexpr bool reads_as_floats(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

}  // namespace reprise::kernels::cpu
