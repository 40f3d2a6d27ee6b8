// Loops of scalar instructions over runs of floats.
#pragma once

#include <cstdint>

#include "core/scalar_program.h"
#include "reprise/dtype.h"

namespace reprise::kernels::cpu {

/// d[i] = op(a[i], b[i], c[i]) for n floats; d may be an operand.
using FloatLoop = void (*)(void* d, const void* a, const void* b, const void* c, std::int64_t n);

/// The loop where operand b is one float for all i (`scalar_b`). Null: there is none.
FloatLoop float_loop(core::ScalarOp op, bool scalar_b);
/// d[i] = a[i] rounded to f16 or bf16.
FloatLoop rounding_loop(DType dtype);

/// to[i] = from[i * stride], and to[i * stride] = from[i], of f32, f16 or bf16 in memory.
using LoadRun = void (*)(const void* from, std::int64_t stride, std::int64_t n, float* to);
using StoreRun = void (*)(const float* from, std::int64_t n, void* to, std::int64_t stride);
LoadRun load_run(DType dtype);
StoreRun store_run(DType dtype);

}  // namespace reprise::kernels::cpu
