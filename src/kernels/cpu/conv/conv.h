// Convolutions of our own.
#pragma once

#include "kernels/cpu/contraction.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/gemm/panels.h"
#include "kernels/cpu/gemm/tiles.h"
#include "kernels/cpu/weights.h"

namespace reprise::kernels::cpu {

/// One channel a group: sums in f32, rows widened once. Null: another convolution, or an activation without a vector form.
StepPtr make_depthwise(const Contraction& conv, WeightCache& weights);

/// 3x3 windows one apart, f32, with fewer products than the definition has, where images are large enough for that to pay. Null: another convolution.
StepPtr make_winograd(const Contraction& conv, WeightCache& weights);
/// The same by tiles of `tile` x `tile` outputs, 2 or 4, on smaller images too. Null, too, where the above is the same.
StepPtr make_winograd(const Contraction& conv, WeightCache& weights, int tile);

/// Whether the next is faster than libraries are.
bool is_better_product(const Contraction& conv);
/// As a matrix product. No step: groups, or no fast kernel on this machine. `block_bytes`: of pixels that panels stream by, as make_gemm's.
NamedStep make_conv_product(const Contraction& conv, WeightCache& weights, std::int64_t block_bytes = 0);
/// `finish` where results from output pixel `pixel` on go.
Finish results_from(const ConvShape& shape, const Finish& finish, void* const* bindings, std::int64_t pixel);
/// Whether threads rather share the image than the weights: the larger of the two is read once.
bool shares_rows(const ConvShape& shape, const PanelForm& form);
/// The same without copies of windows: those that are not dilated along lines, where the machine's tile kernel takes them.
NamedStep make_window_product(const Contraction& conv, const ConvShape& shape, WeightCache& weights, std::int64_t block_bytes);

}  // namespace reprise::kernels::cpu
