// Reductions over any axes. A block is a grid of threads, `kept` results wide and `line` threads deep along what is reduced; neighbouring threads lie along the
// dimension that is dense. Where results are few and lines long, lines are split among blocks, and a second kernel merges the parts: the sum's order is fixed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <limits>

#include "kernels/cuda/factories.h"
#include "kernels/cuda/nest.h"
#include "kernels/cuda/scalar_text.h"

namespace reprise::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::int64_t kMostSplits = 1024;

struct Fold {
  std::string text;  // the type in reduce.cuh
  std::size_t state_bytes;
};

Fold fold_of(const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  const DType x = spec.inputs[0].dtype, y = spec.outputs[0].dtype;
  const std::size_t item = item_size(x) < 4 && is_floating(x) ? 4 : item_size(x);
  if (kind == "any" || kind == "all") return {kind == "any" ? "Any" : "All", 1};
  if (kind == "sum" || kind == "prod") {
    const char* name = kind == "sum" ? "Sum" : "Product";
    if (!is_floating(y)) return {fmt::format("{}<u64_t>", name), 8};
    const bool wide = y == DType::f64 || x == DType::f64 || is_integral(x);
    return {fmt::format("{}<{}>", name, wide ? "f64_t" : "f32_t"), wide || kind == "sum" ? 8u : 4u};
  }
  if (kind == "max" || kind == "min") {
    check(x == y, spec, "max and min keep the dtype");
    return {fmt::format("{}<{}>", kind == "max" ? "Max" : "Min", compute_type_name(x)), item};
  }
  check(kind == "argmax" || kind == "argmin", spec, "unknown kind");
  check(y == DType::i64, spec, "argmax and argmin give i64");
  return {fmt::format("ArgExtreme<{}, {}>", compute_type_name(x), kind == "argmax"), 16};
}

std::vector<bool> reduced_dims(const StepSpec& spec) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  std::vector<bool> reduced(static_cast<std::size_t>(x.rank));
  for (const std::int64_t axis : spec.attrs->ints("axes")) {
    const auto d = static_cast<std::size_t>(axis_of(spec, axis, x.rank));
    check(!reduced[d], spec, "an axis stands twice");
    reduced[d] = true;
  }
  check(y.rank == x.rank, spec, "ranks differ");
  for (std::size_t d = 0; d < reduced.size(); ++d)
    check(y.sizes[d] == (reduced[d] ? 1 : x.sizes[d]), spec, "the output's sizes are not the input's with 1 for the axes");
  return reduced;
}

/// The dimensions of an operand that are marked.
OperandRef part(const OperandRef& operand, const std::vector<bool>& marks, bool mark) {
  OperandRef result = operand;
  result.rank = 0;
  for (std::size_t d = 0; d < marks.size(); ++d) {
    if (marks[d] != mark) continue;
    result.sizes[static_cast<std::size_t>(result.rank)] = operand.sizes[d];
    result.strides[static_cast<std::size_t>(result.rank++)] = operand.strides[d];
  }
  return result;
}

/// How threads share the work.
struct Shape {
  std::int64_t results = 0, length = 0, splits = 1, per_split = 0;
  unsigned kept = 1, line = 1;
  bool along = true;  // neighbouring threads of one result

  [[nodiscard]] unsigned blocks() const { return blocks_for(results, kept); }
};

/// Neighbouring threads along the line unless it is the kept dimensions that are dense.
Shape shape_of(std::int64_t results, std::int64_t length, bool along, const Gpu& gpu) {
  Shape s{.results = results, .length = length, .splits = 1, .per_split = length, .kept = 1, .line = 1, .along = along};
  const auto power = [](std::int64_t n) { return std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1))); };
  s.line = static_cast<unsigned>(along ? std::min<std::uint64_t>(power((length + 3) / 4), kThreads) : kThreads / std::min<std::uint64_t>(power(results), 32));
  s.kept = kThreads / s.line;
  const std::int64_t wanted = 2 * gpu.info().multiprocessors / s.blocks(), most = length / (std::int64_t{8} * s.line);
  if (wanted < 2 || most < 2) return s;
  s.per_split = (length + std::min({wanted, most, kMostSplits}) - 1) / std::min({wanted, most, kMostSplits});
  s.splits = (length + s.per_split - 1) / s.per_split;
  return s;
}

/// One of the two kernels: from the input, or from parts that another left (`parts`), to the result or to parts.
class Writer {
 public:
  Writer(const Shape& shape, const Fold& fold, const OperandRef& x, const OperandRef& y, const std::vector<bool>& reduced, bool from_parts, bool to_parts)
      : shape_(shape), fold_(fold), x_(x), y_(y), from_parts_(from_parts), to_parts_(to_parts) {
    const OperandRef kept_x = part(x, reduced, false), kept_y = part(y, reduced, false), line_x = part(x, reduced, true);
    const Nest kept(std::array{kept_x, kept_y}, kept_x), line(std::array{line_x}, line_x);
    wide_ = kept.wide() || line.wide() || reach(x) || shape.results * shape.splits > std::numeric_limits<std::int32_t>::max() / 2;
    parameters_.index("results", shape.results, wide_);
    parameters_.index("length", shape.length, wide_);
    parameters_.index("per_split", shape.per_split, wide_);
    line_("const int l = {0} ? threadIdx.x % {1} : threadIdx.x / {2}, k = {0} ? threadIdx.x / {1} : threadIdx.x % {2};", shape.along, shape.line, shape.kept);
    line_("const Index result = blockIdx.x * static_cast<Index>({}) + k;", shape.kept);
    line_("wait_for_earlier_kernels();");
    line_("auto state = Fold::start();");
    line_("Offset ox = 0, oy = 0;");
    body_ += "  if (result < results) {\n";
    write_kept(kept);
    write_line(line);
    body_ += "  }\n";
    line_("state = merge_block<Fold, {}, {}, {}>(state, k, l);", shape.kept, shape.line, shape.along);
    line_("if (l != 0 || result >= results) return;");
    line_(to_parts ? "y[result * static_cast<Offset>(gridDim.y) + blockIdx.y] = state;" : "y[oy] = Fold::finish<{}>(state);", type_name(y.dtype));
  }

  [[nodiscard]] std::string text() const {
    const std::string in = from_parts_ ? "Fold::State" : type_name(x_.dtype), out = to_parts_ ? "Fold::State" : type_name(y_.dtype);
    return fmt::format(
        "#include \"reduce.cuh\"\n{}using Offset = {};\nusing Fold = {};\nextern \"C\" __global__ void __launch_bounds__({}) reduce(const {}* __restrict__ x, "
        "{}* y, {}) {{\n{}}}\n",
        index_types(wide_), wide_ ? "i64_t" : "i32_t", fold_.text, kThreads, in, out, parameters_.text(), body_);
  }
  /// All but the pointers, which come first.
  [[nodiscard]] const Arguments& arguments() const { return parameters_.arguments(); }

 private:
  static bool reach(const OperandRef& x) {
    const auto touched = access(x, false);
    return touched.end - touched.begin > std::int64_t{1} << 31;
  }
  template <class... Args>
  void line_(const std::string& text, Args&&... args) {
    body_ += "  " + fmt::format(fmt::runtime(text), std::forward<Args>(args)...) + "\n";
  }

  /// Adds the position `name`, counted through a nest, times the strides of an operand to an offset.
  void write_offset(const Nest& nest, const std::string& name, std::initializer_list<const char*> offsets) {
    for (std::size_t d = nest.rank(); d-- > 0;) {
      const std::string at = fmt::format("{}{}", name, d);
      if (d > 0) {
        parameters_.divisor("n" + at, nest.size(d), wide_);
        line_("const Index q{0} = divide({1}, n{0}), {0} = {1} - q{0} * static_cast<Index>(n{0}.divisor);", at,
              d + 1 == nest.rank() ? name : fmt::format("q{}{}", name, d + 1));
      } else {
        line_("const Index {} = {};", at, nest.rank() == 1 ? name : fmt::format("q{}1", name));
      }
      std::size_t operand = 0;
      for (const char* offset : offsets) {
        if (nest.stride(d, operand) != 0) {
          parameters_.index(fmt::format("s{}{}", at, offset), nest.stride(d, operand), wide_);
          line_("{0} += static_cast<Offset>({1} * s{1}{0});", offset, at);
        }
        ++operand;
      }
    }
  }

  void write_kept(const Nest& kept) {
    if (from_parts_) line_("ox = static_cast<Offset>(result * length);");
    line_("Offset unused = 0;");
    write_offset(kept, "result", {from_parts_ ? "unused" : "ox", "oy"});
  }

  void write_line(const Nest& line) {
    line_("const Index begin = blockIdx.y * per_split, end = begin + per_split < length ? begin + per_split : length;");
    body_ += "#pragma unroll 4\n";
    line_("for (Index j = begin + l; j < end; j += {}) {{", shape_.line);
    line_("Offset oj = ox;");
    if (from_parts_)
      line_("state = Fold::merge(state, x[oj + j]);");
    else
      write_offset(line, "j", {"oj"}), line_("state = Fold::add(state, widen(x[oj]), j);");
    line_("}}");
  }

  const Shape shape_;
  const Fold& fold_;
  const OperandRef &x_, &y_;
  bool from_parts_, to_parts_, wide_ = false;
  Parameters parameters_;
  std::string body_;
};

std::int64_t smallest_stride(const OperandRef& x, const std::vector<bool>& reduced, bool among_reduced) {
  std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
  for (std::size_t d = 0; d < reduced.size(); ++d)
    if (reduced[d] == among_reduced && x.sizes[d] > 1) smallest = std::min(smallest, std::abs(x.strides[d]));
  return smallest;
}

Kernel request(Gpu& gpu, const Writer& writer) { return gpu.programs().request({.text = writer.text(), .entry = "reduce"}); }

}  // namespace

StepPtr make_reduce(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  const OperandRef x = spec.inputs[0], y = spec.outputs[0];
  const auto reduced = reduced_dims(spec);
  const Fold fold = fold_of(spec);
  const std::int64_t results = y.numel(), length = part(x, reduced, true).numel();
  check(length > 0 || results == 0 || !fold.text.starts_with("Arg"), spec, "an empty line has no extremum");
  if (results == 0) return make_empty_step();

  const Shape shape = shape_of(results, length, smallest_stride(x, reduced, true) <= smallest_stride(x, reduced, false), gpu);
  const bool split = shape.splits > 1;
  const Writer first(shape, fold, x, y, reduced, false, split);
  const Kernel kernel = request(gpu, first);
  const Arguments rest = first.arguments();
  const auto grid = [](const Shape& s) { return LaunchShape{.grid = {s.blocks(), static_cast<unsigned>(s.splits)}, .block = {kThreads}}; };
  if (!split) {
    return make_step(0, [=](Operations& operations, int) { launch(operations, kernel, grid(shape), Arguments().in(x).out(y).append(rest)); });
  }
  const Shape merging = shape_of(results, shape.splits, true, gpu);
  const Writer second(Shape{.results = results, .length = shape.splits, .splits = 1, .per_split = shape.splits, .kept = merging.kept, .line = merging.line},
                      fold, x, y, reduced, true, false);
  const Kernel merge = request(gpu, second);
  const Arguments merge_rest = second.arguments();
  const std::int64_t bytes = results * shape.splits * static_cast<std::int64_t>(fold.state_bytes);
  return make_step(static_cast<std::size_t>(bytes), [=](Operations& operations, int scratch) {
    const Access written{scratch, 0, bytes, true}, read{scratch, 0, bytes, false};
    launch(operations, kernel, grid(shape), Arguments().in(x).pointer({scratch}, written).append(rest));
    launch(operations, merge, {.grid = {merging.blocks()}, .block = {kThreads}}, Arguments().pointer({scratch}, read).out(y).append(merge_rest));
  });
}

}  // namespace reprise::kernels::cuda
