// nonzero and repeat_interleave.
#include "kernels/cuda/select.h"

#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::int64_t kChunk = 2048;  // as text/select.cuh and text/scan.cuh have it

/// In-place running sums of i64 in scratch.
void describe_sums(Operations& ops, const TextKernel& kernel, Scratch::Part sums, std::int64_t count, int slot) {
  Arguments arguments;
  put_scratch(arguments, sums, slot, true).value(count);
  launch(ops, kernel, {.grid = {1}, .block = {kThreads}}, arguments);
}

}  // namespace

Selection::Selection(Gpu& gpu, Scratch& scratch, const char* text, TextObject flag, TextObject sink, std::int64_t count)
    : flag_(std::move(flag)),
      sink_(std::move(sink)),
      count_(count),
      chunks_(std::max<std::int64_t>(1, (count + kChunk - 1) / kChunk)),
      totals_(scratch.take(chunks_ * 8)),
      count_chosen_(request(gpu, text, fmt::format("count_chosen<{}>", flag_.type))),
      sum_(request(gpu, "scan.cuh", "scan_totals<RunningSum<i64_t>>")),
      put_(request(gpu, text, fmt::format("put_chosen<{}, {}>", flag_.type, sink_.type))) {}

void Selection::describe(Operations& operations, int slot, const std::function<void(Arguments&, int slot)>& size) const {
  const LaunchShape shape{.grid = {blocks_for(chunks_, 1)}, .block = {kThreads}};
  Arguments counting, putting;
  flag_.put(counting, slot);
  put_scratch(counting, totals_, slot, true).value(count_);
  launch(operations, count_chosen_, shape, counting);
  describe_sums(operations, sum_, totals_, chunks_, slot);
  flag_.put(putting, slot);
  sink_.put(putting, slot);
  put_scratch(putting, totals_, slot, false).value(count_);
  size(putting, slot);
  launch(operations, put_, shape, putting);
}

StepPtr make_nonzero(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 2, 2);
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0], &count = spec.outputs[1];
  check(y.dtype == DType::i64 && count.dtype == DType::i64 && y.rank == 2 && y.sizes[1] == x.rank, spec, "operands disagree");
  check(y.sizes[0] >= x.numel(), spec, "the result cannot hold every element");
  const bool wide = needs_wide({&x});
  Dims dims(1);  // x's own, so that positions along them can be told
  for (std::size_t d = 0; d < static_cast<std::size_t>(x.rank); ++d) dims.add(x.sizes[d], std::span(&x.strides[d], 1), false);
  const auto put_dims = [dims, wide](Arguments& a) { dims.put(a, wide); };
  const TextObject flag{fmt::format("IsNonzero<{}, {}>", type_name(x.dtype), index_type(wide)), [x, put_dims](Arguments& a, int) { put_dims(a.in(x)); }};
  const TextObject sink{fmt::format("PutIndices<{}>", index_type(wide)), [y, put_dims](Arguments& a, int) { put_dims(a.out(y)); }};
  Scratch scratch;
  const Selection selection(gpu, scratch, "select.cuh", flag, sink, x.numel());
  return make_step(scratch.bytes(), [selection, count](Operations& ops, int slot) { selection.describe(ops, slot, [&](Arguments& a, int) { a.out(count); }); });
}

StepPtr make_repeat_interleave(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 1, 2);
  const OperandRef &repeats = spec.inputs[0], &y = spec.outputs[0];
  check(repeats.rank == 1 && (repeats.dtype == DType::i64 || repeats.dtype == DType::i32) && y.rank == 1 && y.dtype == DType::i64, spec, "operands disagree");
  const std::int64_t n = repeats.sizes[0], room = y.sizes[0];
  Scratch scratch;
  const auto ends = scratch.take(n * 8);
  const auto totals = scratch.take((n + kChunk - 1) / kChunk * 8);
  const std::string type = type_name(repeats.dtype), lines = fmt::format("{}, i64_t, i64_t", type);
  TextKernel sum_chunks = request(gpu, "scan.cuh", fmt::format("scan_chunks<RunningSum<i64_t>, true, {}>", lines));
  TextKernel sum_totals = request(gpu, "scan.cuh", "scan_totals<RunningSum<i64_t>>");
  TextKernel finish = request(gpu, "scan.cuh", fmt::format("scan_chunks<RunningSum<i64_t>, false, {}>", lines));
  TextKernel repeat = request(gpu, "select.cuh", fmt::format("repeat_indices<{}>", type));
  const OperandRef* count = spec.outputs.size() == 2 ? &spec.outputs[1] : nullptr;
  return make_step(scratch.bytes(), [=, repeats = spec.inputs[0], y = spec.outputs[0], counted = count != nullptr, size = count ? *count : OperandRef{},
                                     name = spec.name](Operations& ops, int slot) {
    const std::int64_t chunks = (n + kChunk - 1) / kChunk;
    const auto add_scan = [&](const TextKernel& kernel, bool write) {
      Arguments a;
      put_scratch(a.in(repeats), ends, slot, true)
          .fixed(nullptr)
          .value(std::int64_t{1})
          .value(n)
          .value(repeats.strides[0])
          .value(std::int64_t{1})
          .value(std::int64_t{0});
      Dims(3).put(a, true);
      put_scratch(a, totals, slot, write).value(chunks);
      launch(ops, kernel, {.grid = {blocks_for(chunks, 1)}, .block = {kThreads}}, a);
    };
    if (n > 0) {
      add_scan(sum_chunks, true);
      describe_sums(ops, sum_totals, totals, chunks, slot);
      add_scan(finish, false);
    }
    Arguments a;
    put_scratch(a.in(repeats).value(repeats.strides[0]), ends, slot, false).out(y);
    if (counted)
      a.out(size);
    else
      a.fixed(nullptr);
    a.value(n).value(room);
    a.fixed(ops.fault(
        [name](std::uint64_t word) { REPRISE_FAIL(ShapeError, "[run/{}] repeats must not be negative (got {})", name, static_cast<std::int64_t>(word)); }));
    a.fixed(ops.fault([name, room](std::uint64_t) { REPRISE_FAIL(ShapeError, "[run/{}] repeats sum to more than the result's size {}", name, room); }));
    launch_each(ops, repeat, std::max({n, room, std::int64_t{1}}), a);
  });
}

}  // namespace reprise::kernels::cuda
