#include "kernels/cuda/dims.h"
#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::int64_t kChunk = 2048;      // as text/scan.cuh has it
constexpr std::int64_t kManyLines = 8192;  // enough to give each a thread
constexpr std::int64_t kShortLine = 16;

struct Scan {
  OperandRef x, y;
  const OperandRef* places = nullptr;  // null: not wanted
  std::vector<int> axis;
};

/// The running state, and the bytes of one. Reals accumulate in f32 for f16 and bf16 and else in f64, integers in 64 bits.
std::pair<std::string, std::int64_t> state_of(const StepSpec& spec, const std::string& kind) {
  const DType x = spec.inputs[0].dtype, y = spec.outputs[0].dtype;
  const bool half = x == DType::f16 || x == DType::bf16, small = half || x == DType::f32;
  if (kind == "max" || kind == "min") {
    const char* type = is_floating(y) ? (small ? "f32_t" : "f64_t") : y == DType::u64 ? "u64_t" : "i64_t";
    return {fmt::format("RunningExtreme<{}, {}>", type, kind == "max"), 16};
  }
  if (kind == "logsumexp") return {small ? "RunningLogSumExp<f32_t>" : "RunningLogSumExp<f64_t>", 8};
  check(kind == "sum" || kind == "prod", spec, "unknown kind");
  const char* type = is_floating(y) ? (half ? "f32_t" : "f64_t") : "i64_t";
  return {fmt::format("{}<{}>", kind == "sum" ? "RunningSum" : "RunningProduct", type), 8};
}

/// A ScanLines of the text.
Arguments arguments_of(const Scan& s, bool wide) {
  const OperandRef& places = s.places == nullptr ? s.y : *s.places;
  Arguments arguments;
  arguments.in(s.x).out(s.y);
  if (s.places == nullptr)
    arguments.fixed(nullptr);
  else
    arguments.out(*s.places);
  const Dims around({&s.x, &s.y, &places}, by_stride(s.x, other_dims(s.x.rank, s.axis)));
  arguments.value(around.numel()).value(count_along(s.x, s.axis));
  for (const OperandRef* o : {&s.x, &s.y, &places}) arguments.value(s.axis.empty() ? std::int64_t{0} : o->strides[static_cast<std::size_t>(s.axis[0])]);
  around.put(arguments, wide);
  return arguments;
}

/// Totals of chunks first, unless a line is one chunk.
StepPtr make_chunks(Gpu& gpu, const std::string& state, std::int64_t state_bytes, const std::string& types, const Arguments& lines, std::int64_t count,
                    std::int64_t length) {
  const std::int64_t chunks = (length + kChunk - 1) / kChunk;
  Scratch scratch;
  const auto totals = scratch.take(chunks > 1 ? count * chunks * state_bytes : 0);
  TextKernel sum, carry, finish = request(gpu, "scan.cuh", fmt::format("scan_chunks<{}, false, {}>", state, types));
  if (chunks > 1) {
    sum = request(gpu, "scan.cuh", fmt::format("scan_chunks<{}, true, {}>", state, types));
    carry = request(gpu, "scan.cuh", fmt::format("scan_totals<{}>", state));
  }
  return make_step(scratch.bytes(), [=](Operations& ops, int slot) {
    const LaunchShape shape{.grid = {blocks_for(count * chunks, 1)}, .block = {kThreads}};
    Arguments last = lines;
    if (chunks > 1) {
      Arguments first = lines, middle;
      put_scratch(first, totals, slot, true).value(chunks);
      launch(ops, sum, shape, first);
      put_scratch(middle, totals, slot, true).value(chunks);
      launch(ops, carry, {.grid = {blocks_for(count, 1)}, .block = {kThreads}}, middle);
      put_scratch(last, totals, slot, false);
    } else {
      last.fixed(nullptr);
    }
    launch(ops, finish, shape, last.value(chunks));
  });
}

}  // namespace

StepPtr make_scan(Gpu& gpu, const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  check_counts(spec, 1, 1, kind == "max" || kind == "min" ? 2 : 1);
  for (const OperandRef& output : spec.outputs) check(same_shape(output, spec.inputs[0]), spec, "sizes differ");
  Scan s{.x = spec.inputs[0], .y = spec.outputs[0], .places = spec.outputs.size() > 1 ? &spec.outputs[1] : nullptr, .axis = {}};
  check(s.places == nullptr || s.places->dtype == DType::i64, spec, "indices are i64");
  if (s.x.rank > 0) s.axis = {axis_of(spec, spec.attrs->integer("axis"), s.x.rank)};
  const auto [state, state_bytes] = state_of(spec, kind);
  if (s.x.numel() == 0) return make_empty_step();
  const bool wide = needs_wide({&s.x, &s.y, s.places});
  const std::int64_t length = count_along(s.x, s.axis), lines = s.x.numel() / length;
  const std::string types = fmt::format("{}, {}, {}", type_name(s.x.dtype), type_name(s.y.dtype), index_type(wide));
  const Arguments arguments = arguments_of(s, wide);
  const bool beside = !s.axis.empty() && s.x.strides[static_cast<std::size_t>(s.axis[0])] != 1;
  if (length > kShortLine && (!beside || lines < kManyLines)) return make_chunks(gpu, state, state_bytes, types, arguments, lines, length);
  TextKernel kernel = request(gpu, "scan.cuh", fmt::format("scan_across<{}, {}>", state, types));
  return make_step(0, [=](Operations& ops, int) { launch_each(ops, kernel, lines, arguments); });
}

}  // namespace reprise::kernels::cuda
