// One factory per kernel: checks the operands against core/op.h and returns the step, or null when it does not take them. registry.cpp lists them.
#pragma once

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

StepPtr make_pointwise(Gpu& gpu, const StepSpec& spec);
StepPtr make_copy(Gpu& gpu, const StepSpec& spec);
StepPtr make_fill(Gpu& gpu, const StepSpec& spec);
StepPtr make_iota(Gpu& gpu, const StepSpec& spec);
StepPtr make_reduce(Gpu& gpu, const StepSpec& spec);
StepPtr make_matmul(Gpu& gpu, const StepSpec& spec);
StepPtr make_conv(Gpu& gpu, const StepSpec& spec);
StepPtr make_attention(Gpu& gpu, const StepSpec& spec);
StepPtr make_item(Gpu& gpu, const StepSpec& spec);
StepPtr make_check(Gpu& gpu, const StepSpec& spec);

StepPtr make_foreign(Gpu& gpu, const StepSpec& spec);

StepPtr make_scan(Gpu& gpu, const StepSpec& spec);
StepPtr make_softmax(Gpu& gpu, const StepSpec& spec);
StepPtr make_norm(Gpu& gpu, const StepSpec& spec);
StepPtr make_pool(Gpu& gpu, const StepSpec& spec);
StepPtr make_resize(Gpu& gpu, const StepSpec& spec);
StepPtr make_pad(Gpu& gpu, const StepSpec& spec);
StepPtr make_concat(Gpu& gpu, const StepSpec& spec);
StepPtr make_write_view(Gpu& gpu, const StepSpec& spec);
StepPtr make_gather(Gpu& gpu, const StepSpec& spec);
StepPtr make_index(Gpu& gpu, const StepSpec& spec);
StepPtr make_scatter(Gpu& gpu, const StepSpec& spec);
StepPtr make_index_put(Gpu& gpu, const StepSpec& spec);
StepPtr make_sort(Gpu& gpu, const StepSpec& spec);
StepPtr make_topk(Gpu& gpu, const StepSpec& spec);
StepPtr make_search_sorted(Gpu& gpu, const StepSpec& spec);
StepPtr make_random(Gpu& gpu, const StepSpec& spec);
StepPtr make_nonzero(Gpu& gpu, const StepSpec& spec);
StepPtr make_unique(Gpu& gpu, const StepSpec& spec);
StepPtr make_nms(Gpu& gpu, const StepSpec& spec);
StepPtr make_repeat_interleave(Gpu& gpu, const StepSpec& spec);

}  // namespace reprise::kernels::cuda
