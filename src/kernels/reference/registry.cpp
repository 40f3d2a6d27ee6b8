// The table of the reference back end: core op → factory. An op that is not here is run by the executor itself.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "kernels/reference/factories.h"

namespace reprise::kernels {
namespace {

using core::Op;

constexpr std::pair<Op, MakeStep> kTable[] = {
    {Op::pointwise, reference::make_pointwise}, {Op::copy, reference::make_copy},       {Op::reduce, reference::make_reduce},
    {Op::scan, reference::make_scan},           {Op::softmax, reference::make_softmax}, {Op::norm, reference::make_norm},
    {Op::attention, reference::make_attention}, {Op::matmul, reference::make_matmul},   {Op::conv, reference::make_conv},
    {Op::pool, reference::make_pool},
};

}  // namespace

std::unique_ptr<device::Step> make_reference_step(const StepSpec& spec) {
  const auto* row = std::find_if(std::begin(kTable), std::end(kTable), [&](const auto& entry) { return entry.first == spec.op; });
  REPRISE_CHECK(row != std::end(kTable), UnsupportedOp, "[kernels/{}] the reference back end has no kernel for '{}'", spec.name, core::name(spec.op));
  return row->second(spec);
}

}  // namespace reprise::kernels
