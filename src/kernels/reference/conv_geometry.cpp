#include "kernels/reference/conv_geometry.h"

#include <algorithm>

#include "base/integers.h"

namespace reprise::kernels::reference {
namespace {

using base::ceil_div;

std::int64_t mod(std::int64_t a, std::int64_t b) {
  const std::int64_t r = a % b;
  return r < 0 ? r + b : r;
}

// Values of the last dimensions, in the last places of the triple.
ConvGeometry::Triple triple(const StepSpec& spec, const char* key, int dims, std::int64_t lowest) {
  const std::vector<std::int64_t> values = spec.attrs->ints(key);
  REPRISE_CHECK(static_cast<int>(values.size()) == dims, InvalidArgument, "[kernels/{}] conv: wrong length of {} (got {}, want {})", spec.name, key,
                values.size(), dims);
  ConvGeometry::Triple t{lowest, lowest, lowest};
  std::copy(values.begin(), values.end(), t.end() - dims);
  for (const std::int64_t v : t) REPRISE_CHECK(v >= lowest, InvalidArgument, "[kernels/{}] conv: {} is too small (got {}, want {})", spec.name, key, v, lowest);
  return t;
}

void check_shapes(const StepSpec& spec, const ConvGeometry& g) {
  const int rank = g.x.rank;
  check(rank >= 3 && rank <= 5 && g.w.rank == rank && g.y.rank == rank, spec, "wrong rank");
  check(g.x.dtype == g.y.dtype && g.w.dtype == g.y.dtype && (!g.has_bias || g.bias.dtype == g.y.dtype), spec, "dtypes differ");
  check(g.groups > 0 && g.x.sizes[0] == g.y.sizes[0] && g.x.sizes[1] % g.groups == 0 && g.y.sizes[1] % g.groups == 0, spec,
        "channels do not divide into groups");
  const std::int64_t from = g.x.sizes[1], to = g.y.sizes[1];
  check(g.w.sizes[0] == (g.transposed ? from : to) && g.w.sizes[1] == (g.transposed ? to : from) / g.groups, spec, "the weight does not fit the channels");
  check(!g.has_bias || (g.bias.rank == 1 && g.bias.sizes[0] == to), spec, "the bias does not fit the channels");
}

// A 1 × 1 kernel sees all positions alike: they are one row where memory allows.
void flatten_pointwise(ConvGeometry& g) {
  const bool plain = g.taps() == 1 && g.stride == ConvGeometry::Triple{1, 1, 1} && g.padding == ConvGeometry::Triple{} && g.in == g.out;
  const Window space(g.in, g.x_strides);
  if (!plain || !space.dense()) return;
  g.in = g.out = {1, 1, g.pixels()};
  g.x_strides = {0, 0, 1};
}

}  // namespace

TapRun ConvGeometry::row_run(std::int64_t k, std::int64_t o, std::int64_t n) const {
  TapRun run;
  std::int64_t first = 0;  // input position of `lane`
  if (transposed) {
    const std::int64_t scaled = o + padding[2] - k * dilation[2];  // stride × the input position of lane 0
    run.lane_step = stride[2];
    run.lane = scaled < 0 ? -scaled : mod(-scaled, stride[2]);
    first = (scaled + run.lane) / stride[2];
    run.count = run.lane < n ? std::min(ceil_div(n - run.lane, stride[2]), in[2] - first) : 0;
    run.step = x_strides[2];
  } else {
    const std::int64_t start = o * stride[2] - padding[2] + k * dilation[2];
    run.lane = start < 0 ? ceil_div(-start, stride[2]) : 0;
    first = start + run.lane * stride[2];
    run.count = std::min(n - run.lane, first < in[2] ? (in[2] - 1 - first) / stride[2] + 1 : 0);
    run.step = stride[2] * x_strides[2];
  }
  run.count = std::max<std::int64_t>(run.count, 0);
  run.offset = first * x_strides[2];
  return run;
}

TapRun ConvGeometry::tap_run(std::int64_t tap, std::int64_t o0, std::int64_t o1, std::int64_t o2, std::int64_t n) const {
  const std::int64_t i0 = input_position(0, o0, tap / (kernel[1] * kernel[2])), i1 = input_position(1, o1, tap / kernel[2] % kernel[1]);
  if (i0 < 0 || i1 < 0) return {};
  TapRun run = row_run(tap % kernel[2], o2, n);
  run.offset += i0 * x_strides[0] + i1 * x_strides[1];
  return run;
}

ConvGeometry describe_conv(const StepSpec& spec) {
  ConvGeometry g;
  g.has_bias = spec.attrs->flag("has_bias", false);
  check_counts(spec, g.has_bias ? 3 : 2, 1, 1);
  g.x = spec.inputs[0];
  g.w = spec.inputs[1];
  g.y = spec.outputs[0];
  if (g.has_bias) g.bias = spec.inputs[2];
  g.transposed = spec.attrs->flag("transposed", false);
  g.groups = spec.attrs->integer("groups");
  check_shapes(spec, g);
  const int dims = g.x.rank - 2;
  for (int d = 0; d < dims; ++d) {
    const auto at = static_cast<std::size_t>(3 - dims + d);
    g.in[at] = g.x.sizes[2 + d];
    g.out[at] = g.y.sizes[2 + d];
    g.kernel[at] = g.w.sizes[2 + d];
    g.x_strides[at] = g.x.strides[2 + d];
  }
  g.stride = triple(spec, "stride", dims, 1);
  g.padding = triple(spec, "padding", dims, 0);
  g.dilation = triple(spec, "dilation", dims, 1);
  g.batch = g.x.sizes[0];
  g.in_channels = g.x.sizes[1] / g.groups;
  g.out_channels = g.y.sizes[1] / g.groups;
  g.threads = std::max(1, spec.threads);
  // w[Co, Ci/g, *K], or transposed w[Ci, Co/g, *K].
  const int in_dim = g.transposed ? 0 : 1, out_dim = 1 - in_dim;
  g.w_out_stride = g.w.strides[out_dim];
  g.w_group_stride = g.w.strides[0] * (g.transposed ? g.in_channels : g.out_channels);
  OperandRef depth = g.w;
  depth.sizes[in_dim] = g.in_channels;
  const std::array<int, 4> order{in_dim, 2, 3, 4};
  g.w_depth = window_of(depth, std::span(order).first(static_cast<std::size_t>(1 + dims)));
  g.y_space = Window({g.y.sizes.data() + 2, static_cast<std::size_t>(dims)}, {g.y.strides.data() + 2, static_cast<std::size_t>(dims)});
  flatten_pointwise(g);
  return g;
}

}  // namespace reprise::kernels::reference
