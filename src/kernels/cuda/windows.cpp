// pool and resize.
#include <algorithm>
#include <array>

#include "kernels/cuda/dims.h"
#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

using Three = std::array<std::int64_t, 3>;

constexpr std::int64_t kWideWindow = 128, kFewOutputs = 1 << 16;

void put_three(Arguments& arguments, const Three& values) {
  for (const std::int64_t value : values) arguments.value(value);
}

/// What an operand has along its spatial dimensions, the last of three; `absent` along those that are missing.
Three spatial(const OperandRef& o, const std::array<std::int64_t, kMaxRank>& values, std::int64_t absent) {
  Three three{absent, absent, absent};
  for (int d = 2; d < o.rank; ++d) three[static_cast<std::size_t>(d + 3 - o.rank)] = values[static_cast<std::size_t>(d)];
  return three;
}

/// Strides of x along image and channel only: where a plane begins.
OperandRef planes_of(OperandRef x, const OperandRef& y) {
  for (int d = 2; d < x.rank; ++d) x.strides[static_cast<std::size_t>(d)] = 0;
  x.sizes = y.sizes;
  return x;
}

/// Positions along the k-th of three spatial dimensions, as if they were offsets.
OperandRef coordinate_of(const OperandRef& y, int k) {
  OperandRef coordinate = y;
  coordinate.strides.fill(0);
  const int d = k - 3 + y.rank;
  if (d >= 2) coordinate.strides[static_cast<std::size_t>(d)] = 1;
  return coordinate;
}

// ---- pool -------------------------------------------------------------------------------------------------------------------------------

struct Pool {
  OperandRef x, y;
  const OperandRef* indices = nullptr;
  bool adaptive = false;
  Three kernel{1, 1, 1}, stride{1, 1, 1}, padding{0, 0, 0}, dilation{1, 1, 1};
  std::int64_t divisor = 0;
  bool count_include_pad = true;

  // Elements of a window, about.
  [[nodiscard]] std::int64_t window() const {
    const Three in = spatial(x, x.sizes, 1), out = spatial(y, y.sizes, 1);
    std::int64_t elements = 1;
    for (std::size_t d = 0; d < 3; ++d) elements *= adaptive ? std::max<std::int64_t>(1, in[d] / out[d]) : kernel[d];
    return elements;
  }
};

Three per_dimension(const StepSpec& spec, const char* key, int dims, std::int64_t lowest, std::int64_t absent) {
  Three three{absent, absent, absent};
  if (!spec.attrs->has(key)) return three;
  const std::vector<std::int64_t> values = spec.attrs->ints(key);
  REPRISE_CHECK(static_cast<int>(values.size()) == dims && *std::min_element(values.begin(), values.end()) >= lowest, InvalidArgument,
                "[kernels/{}] pool: wrong {} (got {} values, want {} of at least {})", spec.name, key, values.size(), dims, lowest);
  std::copy(values.begin(), values.end(), three.end() - dims);
  return three;
}

/// Channels that lie beside each other in x and y, in packs. 1 where something parts them.
int channel_pack(const Pool& p) {
  const int channels[] = {1};
  OperandRef x = p.x, y = p.y;
  return p.indices != nullptr ? 1 : pack_width({&x, &y}, channels);
}

/// A Pooling of the text, behind x, y and, if wanted, indices.
Arguments arguments_of(const Pool& p, int width, bool wide, bool with_indices = true) {
  Arguments arguments;
  arguments.in(p.x).out(p.y);
  if (with_indices && p.indices != nullptr)
    arguments.out(*p.indices);
  else if (with_indices)
    arguments.fixed(nullptr);
  arguments.value(p.y.numel() / width);
  for (const Three& three : {spatial(p.x, p.x.sizes, 1), spatial(p.y, p.y.sizes, 1), p.kernel, p.stride, p.padding, p.dilation, spatial(p.x, p.x.strides, 0)})
    put_three(arguments, three);
  arguments.value(p.divisor).value(std::int64_t{p.count_include_pad});
  const OperandRef x = planes_of(p.x, p.y), a = coordinate_of(p.y, 0), b = coordinate_of(p.y, 1), c = coordinate_of(p.y, 2);
  const OperandRef indices = p.indices == nullptr ? p.y : *p.indices;
  const std::vector<int> order = by_stride(p.y, all_dims(p.y.rank));
  Dims dims({&x, &p.y, &indices, &a, &b, &c}, order);
  if (width > 1) {  // offsets stay those of elements: only the steps along the channels become longer
    dims = Dims(6);
    for (const int d : order) {
      const auto i = static_cast<std::size_t>(d);
      const std::int64_t step = d == 1 ? width : 1;
      dims.add(p.y.sizes[i] / step, {x.strides[i] * step, p.y.strides[i] * step, indices.strides[i] * step, a.strides[i], b.strides[i], c.strides[i]});
    }
  }
  dims.put(arguments, wide);
  return arguments;
}

/// One window, all of the image, without padding, in which positions are evenly apart.
bool is_whole(const Pool& p) {
  const Three in = spatial(p.x, p.x.sizes, 1), out = spatial(p.y, p.y.sizes, 1);
  if (p.indices != nullptr || out != Three{1, 1, 1}) return false;
  std::vector<int> image;
  for (int d = 2; d < p.x.rank; ++d) image.push_back(d);
  const bool all = p.adaptive || (p.kernel == in && p.padding == Three{0, 0, 0} && p.dilation == Three{1, 1, 1});
  return all && Dims({&p.x}, image).rank() <= 1;
}

StepPtr whole_step(Gpu& gpu, const Pool& p, const char* fold) {
  constexpr int kLanesBeside = 4;
  const int channels[] = {1};
  std::vector<int> image;
  for (int d = 2; d < p.x.rank; ++d) image.push_back(d);
  const Dims positions({&p.x}, image);
  const OperandRef planes = planes_of(p.x, p.y);
  // Packs of channels need the steps between images and positions to be whole packs as well, which pack_width has seen to.
  const int width = channel_pack(p), lanes = p.x.strides[1] == 1 ? kLanesBeside : 1;
  const bool wide = needs_wide({&p.x, &p.y});
  Dims outputs({&planes, &p.y}, std::array{0});
  outputs.add(p.y.sizes[channels[0]] / width, {p.x.strides[1] * width, p.y.strides[1] * width});
  const std::int64_t count = p.y.numel() / width, step = positions.rank() == 0 ? 0 : positions.stride(0, 0);
  Arguments arguments;
  arguments.in(p.x).out(p.y).value(count).value(positions.numel()).value(step).value(p.divisor != 0 ? p.divisor : positions.numel());
  outputs.put(arguments, wide);
  TextKernel kernel = request(gpu, "windows.cuh", fmt::format("pool_whole<{}, {}, {}, {}, {}>", type_name(p.x.dtype), fold, width, lanes, index_type(wide)));
  return make_step(0, [=](Operations& ops, int) { launch(ops, kernel, {.grid = {blocks_for(count, lanes)}, .block = {256}}, arguments); });
}

StepPtr pool_step(Gpu& gpu, const Pool& p, const char* fold) {
  constexpr std::int64_t kSmallWindow = 16;
  if (p.y.numel() == 0) return make_empty_step();
  const bool wide = needs_wide({&p.x, &p.y, p.indices});
  const std::string type = type_name(p.x.dtype);
  if (is_whole(p)) return whole_step(gpu, p, fold);
  if (!p.adaptive && p.indices == nullptr && p.x.rank == 4 && p.window() <= kSmallWindow) {
    const int width = channel_pack(p);
    TextKernel kernel =
        request(gpu, "windows.cuh", fmt::format("pool_plane<{}, {}, {}, {}, {}, {}>", type, fold, p.kernel[1], p.kernel[2], width, index_type(wide)));
    Arguments arguments = arguments_of(p, width, wide, false);
    return make_step(0, [=, count = p.y.numel() / width](Operations& ops, int) { launch_each(ops, kernel, count, arguments); });
  }
  if (p.window() >= kWideWindow && p.y.numel() <= kFewOutputs) {
    const int last = by_stride(p.y, all_dims(p.y.rank)).back();
    const bool across = p.x.strides[1] == 1 && (last == 1 || p.y.numel() == p.y.sizes[0] * p.y.sizes[1]);
    TextKernel kernel = request(gpu, "windows.cuh", fmt::format("pool_wide<{}, {}, {}, {}, {}>", type, fold, p.adaptive, across, index_type(wide)));
    return make_step(0, [=, arguments = arguments_of(p, 1, wide), count = p.y.numel()](Operations& ops, int) {
      launch(ops, kernel, {.grid = {blocks_for(count, across ? 32 : 1)}, .block = {32, 8}}, arguments);
    });
  }
  const int width = channel_pack(p);
  TextKernel kernel = request(gpu, "windows.cuh", fmt::format("pool<{}, {}, {}, {}, {}>", type, fold, p.adaptive, width, index_type(wide)));
  return make_step(
      0, [=, arguments = arguments_of(p, width, wide), count = p.y.numel() / width](Operations& ops, int) { launch_each(ops, kernel, count, arguments); });
}

// ---- resize -----------------------------------------------------------------------------------------------------------------------------

/// Input positions per output position, in the arithmetic of the values.
template <class F>
double scale_of(std::int64_t in, std::int64_t out, double given, bool align_corners) {
  if (align_corners) return out > 1 ? static_cast<F>(in - 1) / static_cast<F>(out - 1) : F(0);
  return given > 0 ? static_cast<F>(1.0 / given) : static_cast<F>(in) / static_cast<F>(out);
}

const char* filter_of(const StepSpec& spec) {
  const auto& kind = spec.attrs->text("kind");
  const bool antialias = spec.attrs->flag("antialias");
  if (kind == "nearest") return "kNearest";
  if (kind == "nearest_exact") return "kNearestExact";
  check(kind == "linear" || kind == "cubic", spec, "unknown kind");
  if (kind == "linear") return antialias ? "kLinearAntialias" : "kLinear";
  return antialias ? "kCubicAntialias" : "kCubic";
}

}  // namespace

StepPtr make_pool(Gpu& gpu, const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  const bool max = kind == "max" || kind == "adaptive_max", avg = kind == "avg" || kind == "adaptive_avg";
  check(max || avg, spec, "unknown kind");
  check_counts(spec, 1, 1, max ? 2 : 1);
  Pool p{.x = spec.inputs[0], .y = spec.outputs[0], .indices = spec.outputs.size() > 1 ? &spec.outputs[1] : nullptr};
  check(p.x.rank >= 3 && p.x.rank <= 5 && p.y.rank == p.x.rank, spec, "wrong rank");
  check(p.x.dtype == p.y.dtype && p.x.sizes[0] == p.y.sizes[0] && p.x.sizes[1] == p.y.sizes[1], spec, "dtype, batch or channels differ");
  check(p.indices == nullptr || (p.indices->dtype == DType::i64 && same_shape(*p.indices, p.y)), spec, "indices are i64 of the output's sizes");
  p.adaptive = kind.starts_with("adaptive");
  if (!p.adaptive) {
    const int dims = p.x.rank - 2;
    p.kernel = per_dimension(spec, "kernel", dims, 1, 1);
    p.stride = per_dimension(spec, "stride", dims, 1, 1);
    p.padding = per_dimension(spec, "padding", dims, 0, 0);
    p.dilation = per_dimension(spec, "dilation", dims, 1, 1);
  }
  if (kind == "avg") {
    p.count_include_pad = spec.attrs->flag("count_include_pad", true);
    p.divisor = spec.attrs->has("divisor") ? spec.attrs->integer("divisor") : 0;
  }
  return pool_step(gpu, p, max ? "Maximum" : "Average");
}

StepPtr make_resize(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  check(x.rank == y.rank && x.rank >= 3 && x.rank <= 5 && x.dtype == y.dtype, spec, "operands disagree in rank or dtype");
  check(x.sizes[0] == y.sizes[0] && x.sizes[1] == y.sizes[1], spec, "batch and channels must stay");
  const char* filter = filter_of(spec);
  if (y.numel() == 0) return make_empty_step();
  const Three in = spatial(x, x.sizes, 1), out = spatial(y, y.sizes, 1);
  const bool narrow = is_floating(x.dtype) ? x.dtype != DType::f64 : item_size(x.dtype) <= 2, nearest = std::string_view(filter).starts_with("kNearest");
  const bool align_corners = spec.attrs->flag("align_corners"), wide = needs_wide({&x, &y});
  const auto& scales = spec.attrs->reals("scales");
  Arguments arguments;
  arguments.in(x).out(y).value(y.numel());
  put_three(arguments, in);
  put_three(arguments, spatial(x, x.strides, 0));
  for (std::size_t d = 0; d < 3; ++d) {
    const int own = static_cast<int>(d) - (5 - x.rank);
    check(in[d] > 0, spec, "a spatial dimension is empty");
    const double given = own >= 0 && static_cast<std::size_t>(own) < scales.size() ? scales[static_cast<std::size_t>(own)] : 0;
    arguments.value(narrow || nearest ? scale_of<float>(in[d], out[d], given, align_corners && !nearest)
                                      : scale_of<double>(in[d], out[d], given, align_corners));
  }
  arguments.value(std::int64_t{align_corners});
  const OperandRef planes = planes_of(x, y), a = coordinate_of(y, 0), b = coordinate_of(y, 1), c = coordinate_of(y, 2);
  Dims({&planes, &y, &a, &b, &c}, by_stride(y, all_dims(y.rank))).put(arguments, wide);
  TextKernel kernel = request(gpu, "windows.cuh",
                              fmt::format("resize<{}, {}, {}, {}, {}>", type_name(x.dtype), narrow ? "f32_t" : "f64_t", filter, 5 - x.rank, index_type(wide)));
  return make_step(0, [=, count = y.numel()](Operations& ops, int) { launch_each(ops, kernel, count, arguments); });
}

}  // namespace reprise::kernels::cuda
