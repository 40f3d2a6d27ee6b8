// Ops that slide windows over spatial dimensions: convolution, pooling, resize, pad.
#include "base/check.h"
#include "ir/builder.h"
#include "ir/shapes.h"

namespace reprise::ir {
namespace {

using sym::Expr;

/// One value per spatial dimension: a single one stands for all, none for `fallback`.
sym::Shape per_dim(sym::Shape values, std::size_t n, const Expr& fallback, const char* where) {
  if (values.empty()) values.push_back(fallback);
  if (values.size() == 1) values.assign(n, Expr(values.front()));
  REPRISE_CHECK(values.size() == n, InvalidArgument, "[ir/{}] wants one value per spatial dimension (got {}, want {})", where, values.size(), n);
  return values;
}

void check_windows(const sym::Shape& sizes, const char* where) {
  for (const Expr& e : sizes) {
    const auto n = e.as_int();
    REPRISE_CHECK(!n || *n >= 0, ShapeError, "[ir/{}] the window is larger than the input (output sizes {})", where, sym::str(sizes));
  }
}

void check_spatial(const Val& x, std::size_t n) {
  const auto rank = static_cast<std::size_t>(x.rank());
  REPRISE_CHECK(rank == n + 2 || rank == n + 1, ShapeError, "[ir/pool] wants a batch, channels and {} spatial dimensions (got {})", n, sym::str(x.sizes()));
}

Expr convolved(const ConvOptions& o, std::size_t i, const Expr& size, const Expr& kernel) {
  if (o.transposed) return transposed_size(size, kernel, o.stride[i], o.padding[i], o.dilation[i], o.output_padding[i]);
  return window_count(size, kernel, o.stride[i], o.padding[i], o.dilation[i], false);
}

}  // namespace

Val Builder::conv(Val x, Val w, Val bias, const ConvOptions& options) {
  if (x.rank() == w.rank() - 1) return squeeze(conv(unsqueeze(x, 0), w, bias, options), 0);
  REPRISE_CHECK(x.rank() == w.rank() && x.rank() >= 3 && x.rank() <= 5, ShapeError, "[ir/conv] wants 1 to 3 spatial dimensions (input {}, weight {})",
                sym::str(x.sizes()), sym::str(w.sizes()));
  const auto n = static_cast<std::size_t>(x.rank()) - 2;
  ConvOptions o = options;
  o.stride = per_dim(o.stride, n, 1, "conv");
  o.padding = per_dim(o.padding, n, 0, "conv");
  o.dilation = per_dim(o.dilation, n, 1, "conv");
  o.output_padding = per_dim(o.output_padding, n, 0, "conv");
  unify(x.size(1), o.transposed ? w.size(0) : w.size(1) * o.groups, "conv");
  sym::Shape sizes = {x.size(0), o.transposed ? w.size(1) * o.groups : w.size(0)};
  for (std::size_t i = 0; i < n; ++i) sizes.push_back(convolved(o, i, x.sizes()[i + 2], w.sizes()[i + 2]));
  check_windows(sizes, "conv");
  const Val operands[] = {x, cast(w, x.dtype()), bias.defined() ? cast(bias, x.dtype()) : bias};
  return emit(core::Op::conv, operands, x.dtype(), std::move(sizes),
              {{"stride", o.stride},
               {"padding", o.padding},
               {"dilation", o.dilation},
               {"output_padding", o.output_padding},
               {"groups", o.groups},
               {"transposed", o.transposed},
               {"has_bias", bias.defined()}});
}

Val Builder::pool(Val x, core::Attrs attrs, sym::Shape output, Val* indices) {
  check_spatial(x, output.size());
  const bool batched = x.rank() == static_cast<int>(output.size()) + 2;
  if (!batched) x = unsqueeze(x, 0);
  check_windows(output, "pool");
  output.insert(output.begin(), {x.size(0), x.size(1)});
  std::vector<ValueId> outputs = {new_root(x.dtype(), output).id()};
  if (indices != nullptr) outputs.push_back(new_root(DType::i64, output).id());
  append(core::Op::pool, {x.id()}, outputs, std::move(attrs));
  const auto result = [&](ValueId id) { return batched ? Val(graph_, id) : squeeze(Val(graph_, id), 0); };
  if (indices != nullptr) *indices = result(outputs[1]);
  return result(outputs[0]);
}

namespace {

struct Windows {
  sym::Shape output;
  core::Attrs attrs;
};

Windows windows(Val x, const PoolOptions& o, const char* kind) {
  const std::size_t n = o.kernel.size();
  check_spatial(x, n);
  const auto &kernel = o.kernel, padding = per_dim(o.padding, n, 0, "pool"), dilation = per_dim(o.dilation, n, 1, "pool");
  const auto stride = o.stride.empty() ? kernel : per_dim(o.stride, n, 1, "pool");
  Windows out;
  const auto first = static_cast<std::size_t>(x.rank()) - n;
  for (std::size_t i = 0; i < n; ++i) out.output.push_back(window_count(x.sizes()[first + i], kernel[i], stride[i], padding[i], dilation[i], o.ceil_mode));
  out.attrs = {{"kind", kind}, {"kernel", kernel}, {"stride", stride}, {"padding", padding}, {"dilation", dilation}};
  return out;
}

}  // namespace

Val Builder::max_pool(Val x, const PoolOptions& options, Val* indices) {
  auto w = windows(x, options, "max");
  return pool(x, std::move(w.attrs), std::move(w.output), indices);
}

Val Builder::avg_pool(Val x, const PoolOptions& options) {
  auto w = windows(x, options, "avg");
  w.attrs.set("count_include_pad", options.count_include_pad).set("divisor", sym::Expr(options.divisor));
  return pool(x, std::move(w.attrs), std::move(w.output), nullptr);
}

Val Builder::adaptive_avg_pool(Val x, sym::Shape output) { return pool(x, {{"kind", "adaptive_avg"}}, std::move(output), nullptr); }

Val Builder::adaptive_max_pool(Val x, sym::Shape output, Val* indices) { return pool(x, {{"kind", "adaptive_max"}}, std::move(output), indices); }

Val Builder::resize(Val x, std::string_view kind, sym::Shape output, bool align_corners, bool antialias, std::vector<double> scales) {
  REPRISE_CHECK(x.rank() == static_cast<int>(output.size()) + 2, ShapeError, "[ir/resize] wants batch, channels and {} spatial dimensions (got {})",
                output.size(), sym::str(x.sizes()));
  if (scales.empty()) scales.assign(output.size(), 0.0);
  REPRISE_CHECK(scales.size() == output.size(), InvalidArgument, "[ir/resize] wants one scale per spatial dimension (got {}, want {})", scales.size(),
                output.size());
  output.insert(output.begin(), {x.size(0), x.size(1)});
  return emit(core::Op::resize, std::span(&x, 1), x.dtype(), std::move(output),
              {{"kind", std::string(kind)}, {"align_corners", align_corners}, {"antialias", antialias}, {"scales", std::move(scales)}});
}

Val Builder::pad(Val x, std::string_view kind, sym::Shape before, sym::Shape after, double value) {
  const auto rank = static_cast<std::size_t>(x.rank());
  REPRISE_CHECK(before.size() == rank && after.size() == rank, InvalidArgument, "[ir/pad] wants one value per dimension (got {} and {}, want {})",
                before.size(), after.size(), rank);
  sym::Shape sizes = x.sizes();
  for (std::size_t i = 0; i < rank; ++i) sizes[i] = sizes[i] + before[i] + after[i];
  check_windows(sizes, "pad");
  return emit(core::Op::pad, std::span(&x, 1), x.dtype(), std::move(sizes),
              {{"kind", std::string(kind)}, {"before", std::move(before)}, {"after", std::move(after)}, {"value", value}});
}

}  // namespace reprise::ir
