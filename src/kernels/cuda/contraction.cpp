#include "kernels/cuda/contraction.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace reprise::kernels::cuda {
namespace {

/// A dimension that several operands walk together.
struct Dimension {
  std::int64_t size = 1, a = 0, b = 0, y = 0, bias = 0;
};

// `outer` and `inner` are one dimension.
bool continues(const Dimension& outer, const Dimension& inner) {
  return outer.a == inner.a * inner.size && outer.b == inner.b * inner.size && outer.y == inner.y * inner.size && outer.bias == inner.bias * inner.size;
}

/// Without dimensions of size 1, and with neighbours merged.
std::vector<Dimension> merged(const std::vector<Dimension>& dimensions) {
  std::vector<Dimension> result;
  for (const Dimension& d : dimensions) {
    if (d.size == 1) continue;
    if (!result.empty() && continues(result.back(), d)) {
      const std::int64_t size = result.back().size * d.size;
      result.back() = d;
      result.back().size = size;
    } else {
      result.push_back(d);
    }
  }
  return result;
}

void set_rows(GemmLayout& g, std::vector<Dimension> rows) {
  if (rows.empty()) rows.push_back({});
  g.row_rank = static_cast<std::int32_t>(rows.size());
  for (std::size_t d = 0; d < rows.size(); ++d) {
    g.rows *= g.row_sizes[d] = rows[d].size;
    g.a_row[d] = rows[d].a;
    g.y_row[d] = rows[d].y;
    g.bias_row[d] = rows[d].bias;
  }
}

void set_batches(GemmLayout& g, const std::vector<Dimension>& batches) {
  g.batch_rank = static_cast<std::int32_t>(batches.size());
  for (std::size_t d = 0; d < batches.size(); ++d) {
    g.batches *= g.batch_sizes[d] = batches[d].size;
    g.a_batch[d] = batches[d].a;
    g.b_batch[d] = batches[d].b;
    g.y_batch[d] = batches[d].y;
    g.bias_batch[d] = batches[d].bias;
  }
}

void check_matmul(const StepSpec& spec, const OperandRef& bias) {
  const OperandRef &a = spec.inputs[0], &b = spec.inputs[1], &y = spec.outputs[0];
  const int rank = y.rank, row = rank - 2, column = rank - 1;
  check(rank >= 2 && a.rank == rank && b.rank == rank && bias.rank == rank, spec, "ranks differ");
  for (const OperandRef& operand : spec.inputs) check(operand.dtype == y.dtype, spec, "dtypes differ");
  for (int d = 0; d < row; ++d) check(a.sizes[d] == y.sizes[d] && b.sizes[d] == y.sizes[d], spec, "batch sizes differ");
  check(a.sizes[column] == b.sizes[row] && a.sizes[row] == y.sizes[row] && b.sizes[column] == y.sizes[column] && same_shape(bias, y), spec,
        "the matrices do not fit");
}

/// A conv's attribute by spatial dimension, missing ones in front.
std::array<std::int32_t, 3> triple(const StepSpec& spec, const char* key, int dims, std::int32_t missing) {
  const std::vector<std::int64_t> values = spec.attrs->ints(key);
  check(static_cast<int>(values.size()) == dims, spec, "an attribute has the wrong length");
  std::array<std::int32_t, 3> t{missing, missing, missing};
  for (std::size_t d = 0; d < values.size(); ++d) {
    check(values[d] >= missing && values[d] <= std::numeric_limits<std::int32_t>::max() / 4, spec, "an attribute is out of range");
    t[t.size() - values.size() + d] = static_cast<std::int32_t>(values[d]);
  }
  return t;
}

void check_conv(const StepSpec& spec, std::int64_t groups, bool transposed) {
  const OperandRef &x = spec.inputs[0], &w = spec.inputs[1], &y = spec.outputs[0];
  check(x.rank >= 3 && x.rank <= 5 && w.rank == x.rank && y.rank == x.rank, spec, "wrong rank");
  for (const OperandRef& operand : spec.inputs) check(operand.dtype == y.dtype, spec, "dtypes differ");
  const std::int64_t from = x.sizes[1], to = y.sizes[1];
  check(groups > 0 && x.sizes[0] == y.sizes[0] && from % groups == 0 && to % groups == 0, spec, "channels do not divide into groups");
  check(w.sizes[0] == (transposed ? from : to) && w.sizes[1] == (transposed ? to : from) / groups, spec, "the weight does not fit the channels");
  check(spec.inputs.size() < 3 || (spec.inputs[2].rank == 1 && spec.inputs[2].sizes[0] == to), spec, "the bias does not fit the channels");
}

/// Spatial sizes and strides, missing dimensions in front.
struct Space {
  std::array<std::int64_t, 3> sizes{1, 1, 1}, strides{};
  explicit Space(const OperandRef& operand) {
    for (int d = 2; d < operand.rank; ++d) {
      sizes[static_cast<std::size_t>(d + 3 - operand.rank)] = operand.sizes[d];
      strides[static_cast<std::size_t>(d + 3 - operand.rank)] = operand.strides[d];
    }
  }
};

// A 1 × 1 kernel with stride 1 is a plain product.
bool is_plain(const GemmLayout& g, const Space& kernel) {
  using Triple = std::array<std::int32_t, 3>;
  return kernel.sizes == std::array<std::int64_t, 3>{1, 1, 1} && g.stride == Triple{1, 1, 1} && g.padding == Triple{};
}

void set_plain_depth(GemmLayout& g, std::int64_t channels, std::int64_t x_channel, std::int64_t w_channel) {
  g.depth_rank = 1;
  g.depth = g.depth_sizes[0] = channels;
  g.a_depth[0] = x_channel;
  g.b_depth[0] = w_channel;
}

// Channels stand innermost where they lie next to each other in x, so that vectors of them can be loaded; taps otherwise, as in w.
void set_patches(Contraction& c, std::int64_t channels, std::int64_t w_channel, const Space& kernel) {
  GemmLayout& g = c.layout;
  const bool channels_last = c.a.strides[1] == 1 && channels > 1;
  const Space x(c.a);
  g.depth_rank = 4;
  g.first_tap = channels_last ? 0 : 1;
  const std::size_t channel = channels_last ? 3 : 0;
  g.depth_sizes[channel] = channels;
  g.a_depth[channel] = c.a.strides[1];
  g.b_depth[channel] = w_channel;
  const bool forward = c.convolution == Convolution::forward;
  for (std::size_t d = 0; d < 3; ++d) {
    const std::size_t tap = d + static_cast<std::size_t>(g.first_tap);
    REPRISE_CHECK(x.sizes[d] <= std::numeric_limits<std::int32_t>::max() / 4, ShapeError, "[kernels/conv] an input dimension is too large (got {})",
                  x.sizes[d]);
    g.in[d] = static_cast<std::int32_t>(x.sizes[d]);
    g.in_strides[d] = x.strides[d];
    g.depth_sizes[tap] = kernel.sizes[d];
    g.b_depth[tap] = kernel.strides[d];
    g.a_depth[tap] = forward ? g.dilation[d] * x.strides[d] : 0;
    if (forward) g.a_origin -= g.padding[d] * x.strides[d];
  }
  g.depth = 1;
  for (const std::int64_t size : g.depth_sizes) g.depth *= size;
  REPRISE_CHECK(g.depth <= std::numeric_limits<std::int32_t>::max(), ShapeError, "[kernels/conv] too many channels and taps (got {})", g.depth);
}

}  // namespace

Contraction describe_matmul(const StepSpec& spec) {
  const bool has_bias = spec.attrs->flag("has_bias", false);
  check_counts(spec, has_bias ? 3 : 2, 1, 1);
  const OperandRef &a = spec.inputs[0], &b = spec.inputs[1], &y = spec.outputs[0], &bias = has_bias ? spec.inputs[2] : y;
  check_matmul(spec, bias);
  const int row = y.rank - 2, column = y.rank - 1;
  Contraction c{.a = a, .b = b, .bias = bias, .y = y, .has_bias = has_bias};
  c.allow_tf32 = spec.attrs->flag("allow_tf32", false);
  GemmLayout& g = c.layout;
  std::vector<Dimension> batches;
  for (int d = 0; d < row; ++d) batches.push_back({y.sizes[d], a.strides[d], b.strides[d], y.strides[d], bias.strides[d]});
  batches = merged(batches);
  std::vector<Dimension> rows{{y.sizes[row], a.strides[row], 0, y.strides[row], bias.strides[row]}};
  while (!batches.empty() && batches.back().b == 0 && merged(rows).size() < 4) {
    rows.insert(rows.begin(), batches.back());
    batches.pop_back();
  }
  set_rows(g, merged(rows));
  set_batches(g, batches);
  set_plain_depth(g, a.sizes[column], a.strides[column], b.strides[row]);
  g.columns = y.sizes[column];
  g.b_column = b.strides[column];
  g.y_column = y.strides[column];
  g.bias_column = bias.strides[column];
  return c;
}

Contraction describe_conv(const StepSpec& spec) {
  const bool has_bias = spec.attrs->flag("has_bias", false), transposed = spec.attrs->flag("transposed", false);
  check_counts(spec, has_bias ? 3 : 2, 1, 1);
  const std::int64_t groups = spec.attrs->integer("groups");
  check_conv(spec, groups, transposed);
  const OperandRef &x = spec.inputs[0], &w = spec.inputs[1], &y = spec.outputs[0];
  Contraction c{.a = x, .b = w, .bias = has_bias ? spec.inputs[2] : y, .y = y, .has_bias = has_bias};
  c.allow_tf32 = spec.attrs->flag("allow_tf32", false);
  GemmLayout& g = c.layout;
  const int dims = x.rank - 2;
  g.stride = triple(spec, "stride", dims, 1);
  g.padding = triple(spec, "padding", dims, 0);
  g.dilation = triple(spec, "dilation", dims, 1);
  // w[Co, Ci/g, *K], or transposed w[Ci, Co/g, *K].
  const std::int64_t channels = x.sizes[1] / groups, w_channel = w.strides[transposed ? 0 : 1];
  g.columns = y.sizes[1] / groups;
  g.b_column = w.strides[transposed ? 1 : 0];
  g.y_column = y.strides[1];
  g.bias_column = has_bias ? c.bias.strides[0] : 0;
  const std::int64_t w_group = w.strides[0] * (transposed ? channels : g.columns);
  set_batches(g, merged({{groups, channels * x.strides[1], w_group, g.columns * y.strides[1], g.columns * g.bias_column}}));

  const Space in(x), out(y), kernel(w);
  const bool plain = is_plain(g, kernel) && in.sizes == out.sizes;
  if (!plain) c.convolution = transposed ? Convolution::transposed : Convolution::forward;
  std::vector<Dimension> rows{{y.sizes[0], x.strides[0], 0, y.strides[0], 0}};
  for (std::size_t d = 0; d < 3; ++d) rows.push_back({out.sizes[d], in.strides[d] * (plain ? 1 : g.stride[d]), 0, out.strides[d], 0});
  set_rows(g, plain ? merged(rows) : rows);
  if (plain)
    set_plain_depth(g, channels, x.strides[1], w_channel);
  else
    set_patches(c, channels, w_channel, kernel);
  return c;
}

}  // namespace reprise::kernels::cuda
