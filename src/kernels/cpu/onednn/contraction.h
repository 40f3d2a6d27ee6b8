// Convolutions and matrix products by oneDNN.
#pragma once

#include "kernels/cpu/contraction.h"
#include "kernels/cpu/onednn/library.h"

namespace reprise::kernels::cpu {

/// Null: oneDNN has no fast kernel for it. `weights` keeps what is packed.
StepPtr make_conv(const Contraction& conv, PackedWeights& weights);
StepPtr make_matmul(const Contraction& matmul, PackedWeights& weights);

/// What is added to a result: an argument of its own, or what stands there before.
enum class Addend { argument, result };

/// The attributes of a primitive: the user's scratchpad and post-operations, whose operand lies as the result does; adds their arguments.
dnnl::primitive_attr attributes(const Contraction& contraction, const dnnl::memory::desc& result, std::vector<Argument>& arguments,
                                Addend addend = Addend::argument);

}  // namespace reprise::kernels::cpu
