// Random masks and keys that several families use.
#pragma once

#include "ops/compose.h"

namespace reprise::ops {

/// Uniform in [0, 1).
Val uniform(Builder& b, const Shape& sizes, DType dtype = DType::f32);
/// x with elements zeroed with probability p and the others divided by 1 - p; one draw per element of `draws`, which broadcasts to x.
Val dropout(Builder& b, Val x, double p, const Shape& draws);

/// Rows: numbers drawn from distributions.
void add_random(Registry& r);
/// Rows: dropout and what else passes through in evaluation.
void add_dropout(Registry& r);

}  // namespace reprise::ops
