// Interpolation to other spatial sizes.
#include <cmath>
#include <utility>

#include "base/check.h"
#include "ops/compose.h"

namespace reprise::ops {
namespace {

/// What the upsample_* ops differ in.
struct Resize {
  const char* kind;
  bool has_corners;  // takes align_corners
  bool antialias = false;
};

void set_resized(Context& c, const Resize& how, Val x, const Shape& output, std::vector<double> scales) {
  c.set(0, c.build().resize(x, how.kind, output, how.has_corners && c.flag("align_corners"), how.antialias, std::move(scales)));
}

/// floor(size * factor), as PyTorch computes it in double.
Expr scaled_size(const Expr& size, double factor) {
  if (const auto n = size.as_int()) return static_cast<std::int64_t>(std::floor(static_cast<double>(*n) * factor));
  const Expr product[] = {size * Expr::real(factor)};
  return Expr::make(sym::Op::floor, product);
}

/// The `.vec` overloads: an output size, or factors that also place the samples.
Convert resize_vec(Resize how) {
  return [how](Context& c) {
    const Val x = c.tensor("input");
    if (!c.is_none("output_size")) return set_resized(c, how, x, c.ints("output_size"), {});
    const std::vector<double> factors = c.reals("scale_factors");
    Shape output;
    if (const ir::TensorMeta* meta = c.output_meta(0))
      output.assign(meta->sizes.begin() + 2, meta->sizes.end());
    else
      for (std::size_t i = 0; i < factors.size(); ++i) output.push_back(scaled_size(x.size(static_cast<int>(i) + 2), factors[i]));
    set_resized(c, how, x, output, factors);
  };
}

/// The plain overloads: an output size, and scales under one name per dimension.
Convert resize_to(Resize how, std::vector<const char*> scale_names) {
  return [how, scale_names = std::move(scale_names)](Context& c) {
    std::vector<double> scales;
    for (const char* name : scale_names) scales.push_back(c.is_none(name) ? 0 : c.real(name));
    set_resized(c, how, c.tensor("self"), expand_ints(c.ints("output_size"), scale_names.size(), "resize"), scales);
  };
}

void add_nearest(Registry& r) {
  const Resize nearest{"nearest", false}, exact{"nearest_exact", false};
  add_rows(r, resize_vec(nearest),
           {"aten::upsample_nearest1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
            "aten::upsample_nearest2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
            "aten::upsample_nearest3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor"});
  add_rows(r, resize_vec(exact),
           {"aten::_upsample_nearest_exact1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
            "aten::_upsample_nearest_exact2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
            "aten::_upsample_nearest_exact3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor"});
  add_rows(r, resize_to(nearest, {"scales"}), {"aten::upsample_nearest1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor"});
  add_rows(r, resize_to(exact, {"scales"}), {"aten::_upsample_nearest_exact1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor"});
  add_rows(r, resize_to(nearest, {"scales_h", "scales_w"}),
           {"aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor"});
  add_rows(r, resize_to(exact, {"scales_h", "scales_w"}),
           {"aten::_upsample_nearest_exact2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor"});
  add_rows(r, resize_to(nearest, {"scales_d", "scales_h", "scales_w"}),
           {"aten::upsample_nearest3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor"});
  add_rows(r, resize_to(exact, {"scales_d", "scales_h", "scales_w"}),
           {"aten::_upsample_nearest_exact3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor"});
}

void add_linear(Registry& r) {
  const Resize linear{"linear", true}, smooth{"linear", true, true};
  add_rows(r, resize_vec(linear),
           {"aten::upsample_linear1d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
            "aten::upsample_bilinear2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
            "aten::upsample_trilinear3d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor"});
  add_rows(r, resize_vec(smooth),
           {"aten::_upsample_bilinear2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor"});
  add_rows(r, resize_to(linear, {"scales"}), {"aten::upsample_linear1d(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) -> Tensor"});
  add_rows(r, resize_to(linear, {"scales_h", "scales_w"}),
           {"aten::upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor"});
  add_rows(r, resize_to(smooth, {"scales_h", "scales_w"}),
           {"aten::_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor"});
  add_rows(r, resize_to(linear, {"scales_d", "scales_h", "scales_w"}),
           {"aten::upsample_trilinear3d(Tensor self, SymInt[3] output_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? "
            "scales_w=None) -> Tensor"});
}

void add_cubic(Registry& r) {
  const Resize cubic{"cubic", true}, smooth{"cubic", true, true};
  add_rows(r, resize_vec(cubic), {"aten::upsample_bicubic2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor"});
  add_rows(r, resize_vec(smooth),
           {"aten::_upsample_bicubic2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor"});
  add_rows(r, resize_to(cubic, {"scales_h", "scales_w"}),
           {"aten::upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor"});
  add_rows(r, resize_to(smooth, {"scales_h", "scales_w"}),
           {"aten::_upsample_bicubic2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor"});
}

}  // namespace

void add_resize(Registry& r) {
  add_nearest(r);
  add_linear(r);
  add_cubic(r);
}

}  // namespace reprise::ops
