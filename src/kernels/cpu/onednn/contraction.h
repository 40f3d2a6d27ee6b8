// Convolutions and matrix products by oneDNN.
#pragma once

#include "kernels/cpu/contraction.h"
#include "kernels/cpu/onednn/library.h"

namespace reprise::kernels::cpu {

/// What is added to a result: an argument of its own, or what stands there before.
enum class Addend { argument, result };

/// Null: oneDNN has no fast kernel for it. `weights` keeps what is packed. `wish`: where something is added, this way; null, too, where it would be anyway.
StepPtr make_conv(const Contraction& conv, PackedWeights& weights, std::optional<Addend> wish = std::nullopt);
StepPtr make_matmul(const Contraction& matmul, PackedWeights& weights);

/// The attributes of a primitive: the user's scratchpad and post-operations, whose operand lies as the result does; adds their arguments.
dnnl::primitive_attr attributes(const Contraction& contraction, const dnnl::memory::desc& result, std::vector<Argument>& arguments,
                                Addend addend = Addend::argument);

}  // namespace reprise::kernels::cpu
