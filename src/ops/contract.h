// Products of tensors: labelled contractions and the matrix products that families share.
#pragma once

#include <vector>

#include "ops/compose.h"

namespace reprise::ops {

/// An operand whose dimensions have names; no label twice.
struct Labelled {
  Val x;
  std::vector<int> labels;
};
/// The sum over all labels that are not in `output` of the product of the operands, with dimensions in the order of `output`. A size of 1 broadcasts.
Val contract(Builder& b, std::vector<Labelled> operands, const std::vector<int>& output);

/// torch.matmul: all ranks from 1.
Val matmul(Builder& b, Val x, Val y);
/// x[…, K] · w[N, K]ᵀ (+ bias[N]); w[K] drops the last dimension.
Val linear(Builder& b, Val x, Val w, Val bias = {});

/// Rows: einsum and other contractions.
void add_einsum(Registry& r);

}  // namespace reprise::ops
