#include "kernels/cuda/factories.h"
#include "kernels/cuda/row_sort.h"

namespace reprise::kernels::cuda {
namespace {

constexpr std::int64_t kCoversBytes = std::int64_t{64} << 20;  // of memory for who covers whom, before boxes are taken in several goes

}  // namespace

StepPtr make_nms(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 2, 2, 2);
  const OperandRef &boxes = spec.inputs[0], &scores = spec.inputs[1], &kept = spec.outputs[0], &count = spec.outputs[1];
  check(boxes.rank == 2 && boxes.sizes[1] == 4 && scores.rank == 1 && scores.sizes[0] == boxes.sizes[0], spec, "boxes must be [n, 4] and scores [n]");
  check(is_floating(boxes.dtype) && is_floating(scores.dtype) && kept.dtype == DType::i64 && count.dtype == DType::i64, spec, "dtypes disagree");
  check(kept.numel() >= scores.sizes[0], spec, "the result cannot hold every box");
  const std::int64_t n = scores.sizes[0], words = std::max<std::int64_t>(1, (n + 63) / 64);
  const std::int64_t at_once = std::clamp<std::int64_t>(kCoversBytes / (words * 8) / 64 * 64, 64, words * 64);
  const SortElement element = SortElement::keyed(has_wide_keys(scores.dtype), false);
  Scratch scratch;
  const SortBuffer ordered = SortBuffer::take(scratch, element, n);
  const auto covers = scratch.take(at_once * words * 8), gone = scratch.take(words * 8);
  const int rows[] = {0};
  const RowSort sort(gpu, scratch,
                     {.element = element,
                      .source = values_source(element, scores, {}, rows, true),
                      .sink = sorted_sink(element, ordered, n),
                      .less = by_key(),
                      .length = std::max<std::int64_t>(n, 1),
                      .kept = n});
  const bool wide = boxes.dtype == DType::f64 || scores.dtype == DType::f64;
  TextKernel find = request(gpu, "nms.cuh", fmt::format("find_covers<{}, {}, u32_t>", type_name(boxes.dtype), wide ? "f64_t" : "f32_t"), {"--fmad=false"});
  TextKernel keep = request(gpu, "nms.cuh", "keep_boxes<u32_t>", {"--fmad=false"});
  const double threshold = spec.attrs->real("iou_threshold");
  return make_step(scratch.bytes(), [=, boxes = spec.inputs[0], kept = spec.outputs[0], count = spec.outputs[1]](Operations& ops, int slot) {
    if (n > 0) sort.describe(ops, slot);
    for (std::int64_t first = 0; first < std::max<std::int64_t>(n, 1); first += at_once) {
      const std::int64_t last = std::min(n, first + at_once);
      Arguments finding, keeping;
      put_scratch(finding.in(boxes), ordered.positions, slot, false).value(boxes.strides[0]).value(boxes.strides[1]);
      put_scratch(finding, covers, slot, true).value(n).value(first).value(last).value(words).value(threshold);
      if (n > 0) launch(ops, find, {.grid = {blocks_for(last - first, 64), static_cast<unsigned>(words)}, .block = {64}}, finding);
      put_scratch(keeping, covers, slot, false);
      put_scratch(keeping, ordered.positions, slot, false);
      put_scratch(keeping, gone, slot, true).out(kept).out(count).value(n).value(first).value(last).value(words);
      launch(ops, keep, {.grid = {1}, .block = {256}}, keeping);
    }
  });
}

}  // namespace reprise::kernels::cuda
