// Convolutions and matrix products by oneDNN.
#pragma once

#include "kernels/cpu/onednn/library.h"

namespace reprise::kernels::cpu {

/// The operands of a contraction, and what follows it that a primitive computes where it stores.
struct Contraction {
  StepSpec spec;                         // without the epilogue
  std::vector<dnnl::algorithm> applied;  // after the sum
  float alpha = 0;                       // of the algorithm
  const OperandRef* addend = nullptr;    // added before it
};

/// Null: oneDNN has no fast kernel for it. `weights` keeps what is packed.
StepPtr make_conv(const Contraction& conv, PackedWeights& weights);
StepPtr make_matmul(const Contraction& matmul, PackedWeights& weights);

/// The attributes of a primitive: the user's scratchpad and post-operations, whose operand lies as the result does; adds their arguments.
dnnl::primitive_attr attributes(const Contraction& contraction, const dnnl::memory::desc& result, std::vector<Argument>& arguments);

}  // namespace reprise::kernels::cpu
