// The table of this back end: core op → factories, asked in this order until one takes the operands.
#include "base/check.h"
#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

using core::Op;

struct Entry {
  Op op;
  StepPtr (*make)(Gpu&, const StepSpec&);
};

constexpr Entry kTable[] = {
    {Op::pointwise, make_pointwise},
    {Op::copy, make_copy},
    {Op::fill, make_fill},
    {Op::iota, make_iota},
    {Op::reduce, make_reduce},
    {Op::item, make_item},
    {Op::check, make_check},
    {Op::scan, make_scan},
    {Op::softmax, make_softmax},
    {Op::norm, make_norm},
    {Op::pool, make_pool},
    {Op::resize, make_resize},
    {Op::pad, make_pad},
    {Op::concat, make_concat},
    {Op::write_view, make_write_view},
    {Op::gather, make_gather},
    {Op::index, make_index},
    {Op::scatter, make_scatter},
    {Op::index_put, make_index_put},
    {Op::sort, make_sort},
    {Op::topk, make_topk},
    {Op::search_sorted, make_search_sorted},
    {Op::random, make_random},
    {Op::nonzero, make_nonzero},
    {Op::unique, make_unique},
    {Op::nms, make_nms},
    {Op::repeat_interleave, make_repeat_interleave},
    {Op::matmul, make_matmul},
    {Op::conv, make_conv},
    {Op::attention, make_attention},
    {Op::foreign, make_foreign},
};

}  // namespace

StepPtr make_cuda_step(Gpu& gpu, const StepSpec& spec) {
  for (const Entry& entry : kTable) {
    if (entry.op != spec.op) continue;
    if (auto step = entry.make(gpu, spec)) return step;
  }
  REPRISE_FAIL(UnsupportedOp, "[kernels/{}] there is no CUDA kernel for '{}' with these operands", spec.name, core::name(spec.op));
}

}  // namespace reprise::kernels::cuda
