// The table of the reference back end: core op → factory. An op that is not here is run by the executor itself.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "kernels/foreign.h"
#include "kernels/reference/epilogue.h"
#include "kernels/reference/factories.h"

namespace reprise::kernels {
namespace {

using core::Op;

constexpr std::pair<Op, std::unique_ptr<device::Step> (*)(const StepSpec&)> kTable[] = {
    {Op::pointwise, reference::make_pointwise},
    {Op::copy, reference::make_copy},
    {Op::reduce, reference::make_reduce},
    {Op::scan, reference::make_scan},
    {Op::softmax, reference::make_softmax},
    {Op::norm, reference::make_norm},
    {Op::attention, reference::make_attention},
    {Op::matmul, reference::make_matmul},
    {Op::conv, reference::make_conv},
    {Op::pool, reference::make_pool},
    {Op::resize, reference::make_resize},
    {Op::pad, reference::make_pad},
    {Op::concat, reference::make_concat},
    {Op::gather, reference::make_gather},
    {Op::scatter, reference::make_scatter},
    {Op::index, reference::make_index},
    {Op::index_put, reference::make_index_put},
    {Op::write_view, reference::make_write_view},
    {Op::sort, reference::make_sort},
    {Op::topk, reference::make_topk},
    {Op::search_sorted, reference::make_search_sorted},
    {Op::iota, reference::make_iota},
    {Op::fill, reference::make_fill},
    {Op::random, reference::make_random},
    {Op::nonzero, reference::make_nonzero},
    {Op::unique, reference::make_unique},
    {Op::nms, reference::make_nms},
    {Op::repeat_interleave, reference::make_repeat_interleave},
    {Op::item, reference::make_item},
    {Op::check, reference::make_check},
    {Op::foreign, make_host_foreign_step},
};

}  // namespace

std::unique_ptr<device::Step> make_reference_step(const StepSpec& spec) {
  const auto* row = std::find_if(std::begin(kTable), std::end(kTable), [&](const auto& entry) { return entry.first == spec.op; });
  REPRISE_CHECK(row != std::end(kTable), UnsupportedOp, "[kernels/{}] the reference back end has no kernel for '{}'", spec.name, core::name(spec.op));
  return spec.attrs->has("epilogue") ? reference::make_with_epilogue(spec, row->second) : row->second(spec);
}

}  // namespace reprise::kernels
