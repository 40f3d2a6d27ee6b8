// Convolutions, and the patches that they are made of.
#include "base/check.h"
#include "ir/shapes.h"
#include "ops/compose.h"

namespace reprise::ops {
namespace {

using ir::ConvOptions;

void set_conv(Context& c, const ConvOptions& o) { c.set(0, c.build().conv(c.tensor("input"), c.tensor("weight"), c.tensor_or_none("bias"), o)); }

ConvOptions read_options(Context& c) {
  return {.stride = c.ints("stride"), .padding = c.ints("padding"), .dilation = c.ints("dilation"), .output_padding = {}, .groups = c.fixed("groups")};
}

void convert_convolution(Context& c) {
  ConvOptions o = read_options(c);
  o.transposed = c.flag("transposed");
  o.output_padding = c.ints("output_padding");
  set_conv(c, o);
}

void convert_conv_transpose(Context& c) {
  ConvOptions o = read_options(c);
  o.transposed = true;
  o.output_padding = c.ints("output_padding");
  set_conv(c, o);
}

/// "same": what an even kernel needs more on the right side is padded beforehand.
void convert_conv_mode(Context& c) {
  Builder& b = c.build();
  const Val w = c.tensor("weight");
  Val x = c.tensor("input");
  const auto spatial = static_cast<std::size_t>(w.rank() - 2);
  const std::string mode = c.text("padding");
  REPRISE_CHECK(mode == "same" || mode == "valid", InvalidArgument, "[ops/convolution] padding must be 'same' or 'valid' (got '{}')", mode);
  ConvOptions o{.stride = c.ints("stride"),
                .padding = {},
                .dilation = expand_ints(c.ints("dilation"), spatial, "convolution"),
                .output_padding = {},
                .groups = c.fixed("groups")};
  if (mode == "same") {
    Shape after(static_cast<std::size_t>(x.rank()), 0);
    bool uneven = false;
    for (std::size_t i = 0; i < spatial; ++i) {
      const Expr total = o.dilation[i] * (w.size(static_cast<int>(i) + 2) - 1), left = sym::floor_div(total, 2), extra = total - left - left;
      o.padding.push_back(left);
      after[after.size() - spatial + i] = extra;
      uneven = uneven || !ir::is_const(extra, 0);
    }
    if (uneven) x = b.pad(x, "constant", Shape(after.size(), 0), after);
  }
  c.set(0, b.conv(x, w, c.tensor_or_none("bias"), o));
}

/// x[T, B, C] with w[K, C, O].
void convert_conv_tbc(Context& c) {
  Builder& b = c.build();
  const int to_bct[] = {1, 2, 0}, to_weight[] = {2, 1, 0}, to_tbc[] = {2, 0, 1};
  const Val y = b.conv(b.permute(c.tensor("self"), to_bct), b.permute(c.tensor("weight"), to_weight), c.tensor("bias"),
                       {.stride = {1}, .padding = {c.integer("pad")}, .dilation = {1}, .output_padding = {}});
  c.set(0, b.permute(y, to_tbc));
}

/// Sizes of a sliding window over a padded plane.
struct Windows {
  Shape kernel, dilation, padding, stride;
  Shape count(const Expr& height, const Expr& width) const {
    const auto along = [&](const Expr& size, std::size_t i) {
      return sym::floor_div(size + padding[i] * 2 - dilation[i] * (kernel[i] - 1) - 1, stride[i]) + 1;
    };
    return {along(height, 0), along(width, 1)};
  }
};

Windows read_windows(Context& c) {
  const auto pair = [&](std::string_view name) { return expand_ints(c.ints(name), 2, name); };
  return {pair("kernel_size"), pair("dilation"), pair("padding"), pair("stride")};
}

/// Every window is a view of the padded plane.
void convert_im2col(Context& c) {
  Builder& b = c.build();
  const Windows w = read_windows(c);
  Val x = c.tensor("self");
  const bool batched = x.rank() == 4;
  if (!batched) x = b.unsqueeze(x, 0);
  const Shape count = w.count(x.size(2), x.size(3));
  const Shape border{0, 0, w.padding[0], w.padding[1]};
  const bool bare = ir::is_const(w.padding[0], 0) && ir::is_const(w.padding[1], 0);
  const Val plane = bare ? x : b.pad(x, "constant", border, border);
  const Shape s = plane.value().strides;
  const Val patches = b.as_strided(plane, {x.size(0), x.size(1), w.kernel[0], w.kernel[1], count[0], count[1]},
                                   {s[0], s[1], s[2] * w.dilation[0], s[3] * w.dilation[1], s[2] * w.stride[0], s[3] * w.stride[1]}, plane.value().offset);
  const Val columns = b.reshape(b.copy(patches), {x.size(0), x.size(1) * w.kernel[0] * w.kernel[1], count[0] * count[1]});
  c.set(0, batched ? columns : b.select(columns, 0, 0));
}

/// Each column element is added to its place of the padded plane.
void convert_col2im(Context& c) {
  Builder& b = c.build();
  const Windows w = read_windows(c);
  const Shape size = expand_ints(c.ints("output_size"), 2, "col2im");
  Val x = c.tensor("self");
  const bool batched = x.rank() == 3;
  if (!batched) x = b.unsqueeze(x, 0);
  const Shape count = w.count(size[0], size[1]);
  const Expr height = size[0] + w.padding[0] * 2, width = size[1] + w.padding[1] * 2, area = w.kernel[0] * w.kernel[1];
  const Expr channels = sym::floor_div(x.size(1), area);
  const auto place = [&](Term ky, Term kx, Term oy, Term ox) {
    const Term row = ky * ky.of(w.dilation[0]) + oy * oy.of(w.stride[0]), column = kx * kx.of(w.dilation[1]) + ox * ox.of(w.stride[1]);
    return row * row.of(width) + column;
  };
  const Val places =
      compute(b, place, positions(b, w.kernel[0], 0, 4), positions(b, w.kernel[1], 1, 4), positions(b, count[0], 2, 4), positions(b, count[1], 3, 4));
  const Val flat[] = {b.reshape(places, {area * count[0] * count[1]})};
  const Val values = b.reshape(x, {x.size(0), channels, flat[0].size(0)});
  const Val plane = b.index_put(filled(b, {x.size(0), channels, height * width}, 0, x.dtype()), values, flat, {2}, 2, true);
  Val y = b.reshape(plane, {x.size(0), channels, height, width});
  y = b.slice(b.slice(y, 2, w.padding[0], size[0]), 3, w.padding[1], size[1]);
  c.set(0, batched ? y : b.select(y, 0, 0));
}

}  // namespace

void add_convolution(Registry& r) {
  add_rows(r, convert_convolution,
           {"aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] "
            "output_padding, "
            "SymInt groups) -> Tensor",
            "aten::_convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] "
            "output_padding, "
            "SymInt groups, bool benchmark, bool deterministic, bool cudnn_enabled, bool allow_tf32) -> Tensor",
            "aten::_convolution.deprecated(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, "
            "int[] output_padding, SymInt groups, bool benchmark, bool deterministic, bool cudnn_enabled) -> Tensor"});
  add_rows(r, [](Context& c) { set_conv(c, read_options(c)); },
           {"aten::conv1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] dilation=[1], SymInt "
            "groups=1) -> Tensor",
            "aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] dilation=[1, 1], SymInt "
            "groups=1) -> "
            "Tensor",
            "aten::conv3d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] dilation=[1, 1, "
            "1], SymInt "
            "groups=1) -> Tensor"});
  add_rows(r, convert_conv_mode,
           {"aten::conv1d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], str padding=\"valid\", SymInt[1] dilation=[1], SymInt "
            "groups=1) -> "
            "Tensor",
            "aten::conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], str padding=\"valid\", SymInt[2] dilation=[1, 1], "
            "SymInt groups=1) "
            "-> Tensor",
            "aten::conv3d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], str padding=\"valid\", SymInt[3] dilation=[1, 1, "
            "1], SymInt "
            "groups=1) -> Tensor",
            "aten::_convolution_mode(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, str padding, SymInt[] dilation, SymInt groups) -> Tensor"});
  add_rows(r, convert_conv_transpose,
           {"aten::conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] output_padding=[0], "
            "SymInt "
            "groups=1, SymInt[1] dilation=[1]) -> Tensor",
            "aten::conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] "
            "output_padding=[0, 0], "
            "SymInt groups=1, SymInt[2] dilation=[1, 1]) -> Tensor",
            "aten::conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] "
            "output_padding=[0, 0, 0], SymInt groups=1, SymInt[3] dilation=[1, 1, 1]) -> Tensor"});
  add_rows(r, convert_conv_tbc, {"aten::conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor"});
  add_rows(r, convert_im2col, {"aten::im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor"});
  add_rows(r, convert_col2im,
           {"aten::col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor"});
}

}  // namespace reprise::ops
