// One factory per core op: checks the operands against core/op.h and returns the step. registry.cpp lists them.
#pragma once

#include <memory>

#include "device/command_list.h"
#include "kernels/kernel.h"

namespace reprise::kernels::reference {

using StepPtr = std::unique_ptr<device::Step>;

StepPtr make_pointwise(const StepSpec& spec);
StepPtr make_copy(const StepSpec& spec);
StepPtr make_reduce(const StepSpec& spec);
StepPtr make_scan(const StepSpec& spec);
StepPtr make_softmax(const StepSpec& spec);
StepPtr make_norm(const StepSpec& spec);
StepPtr make_attention(const StepSpec& spec);
StepPtr make_matmul(const StepSpec& spec);
StepPtr make_conv(const StepSpec& spec);
StepPtr make_pool(const StepSpec& spec);

StepPtr make_resize(const StepSpec& spec);
StepPtr make_pad(const StepSpec& spec);
StepPtr make_concat(const StepSpec& spec);
StepPtr make_gather(const StepSpec& spec);
StepPtr make_scatter(const StepSpec& spec);
StepPtr make_index(const StepSpec& spec);
StepPtr make_index_put(const StepSpec& spec);
StepPtr make_write_view(const StepSpec& spec);
StepPtr make_sort(const StepSpec& spec);
StepPtr make_topk(const StepSpec& spec);
StepPtr make_search_sorted(const StepSpec& spec);
StepPtr make_iota(const StepSpec& spec);
StepPtr make_fill(const StepSpec& spec);
StepPtr make_random(const StepSpec& spec);
StepPtr make_nonzero(const StepSpec& spec);
StepPtr make_unique(const StepSpec& spec);
StepPtr make_nms(const StepSpec& spec);
StepPtr make_repeat_interleave(const StepSpec& spec);
StepPtr make_item(const StepSpec& spec);
StepPtr make_check(const StepSpec& spec);

}  // namespace reprise::kernels::reference
