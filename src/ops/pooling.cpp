// Pooling over windows and over adaptive bins, and its inverse.
#include "base/check.h"
#include "ops/compose.h"

namespace reprise::ops {
namespace {

using ir::PoolOptions;

/// One value per spatial dimension, where a single one stands for all. (The core op takes the rank from the kernel.)
PoolOptions read_options(Context& c, std::size_t dims) {
  return {.kernel = expand_ints(c.ints("kernel_size"), dims, "pool"),
          .stride = c.ints("stride"),
          .padding = c.ints("padding"),
          .dilation = {},
          .ceil_mode = c.flag("ceil_mode")};
}

Convert max_pool(std::size_t dims, bool with_indices) {
  return [=](Context& c) {
    PoolOptions o = read_options(c, dims);
    o.dilation = c.ints("dilation");
    Val indices;
    c.set(0, c.build().max_pool(c.tensor("self"), o, with_indices ? &indices : nullptr));
    if (with_indices) c.set(1, indices);
  };
}

Convert avg_pool(std::size_t dims) {
  return [=](Context& c) {
    PoolOptions o = read_options(c, dims);
    o.count_include_pad = c.flag("count_include_pad");
    if (dims > 1 && !c.is_none("divisor_override")) o.divisor = c.fixed("divisor_override");
    c.set(0, c.build().avg_pool(c.tensor("self"), o));
  };
}

Convert adaptive_avg_pool(std::size_t dims) {
  return [=](Context& c) { c.set(0, c.build().adaptive_avg_pool(c.tensor("self"), expand_ints(c.ints("output_size"), dims, "adaptive_avg_pool"))); };
}

Convert adaptive_max_pool(std::size_t dims) {
  return [=](Context& c) {
    Val indices;
    c.set(0, c.build().adaptive_max_pool(c.tensor("self"), expand_ints(c.ints("output_size"), dims, "adaptive_max_pool"), &indices));
    c.set(1, indices);
  };
}

/// Each value to the place in its plane that its index names; zeros elsewhere.
Convert max_unpool(int dims) {
  return [=](Context& c) {
    Builder& b = c.build();
    const Val x = c.tensor("self");
    const Shape output = c.ints("output_size");
    const Shape leading(x.sizes().begin(), x.sizes().end() - dims);
    const auto planes = [&](Val v, const Shape& spatial) {
      Shape sizes = leading;
      sizes.push_back(sym::product(spatial));
      return v.defined() ? b.reshape(v, sizes) : filled(b, sizes, 0, x.dtype());
    };
    const Shape input(x.sizes().end() - dims, x.sizes().end());
    const Val y = b.scatter(planes({}, output), planes(c.tensor("indices"), input), planes(x, input), static_cast<int>(leading.size()));
    Shape sizes = leading;
    sizes.insert(sizes.end(), output.begin(), output.end());
    c.set(0, b.reshape(y, sizes));
  };
}

void add_max_pools(Registry& r) {
  add_rows(r, max_pool(1, false),
           {"aten::max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], int[1] dilation=[1], bool ceil_mode=False) -> Tensor"});
  add_rows(r, max_pool(2, false),
           {"aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor"});
  add_rows(r, max_pool(3, false),
           {"aten::max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> Tensor"});
  add_rows(r, max_pool(1, true),
           {"aten::max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], int[1] dilation=[1], bool ceil_mode=False) "
            "-> (Tensor, "
            "Tensor)"});
  add_rows(r, max_pool(2, true),
           {"aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> "
            "(Tensor, Tensor)"});
  add_rows(r, max_pool(3, true),
           {"aten::max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> "
            "(Tensor, Tensor)"});
  add_rows(r, max_unpool(2), {"aten::max_unpool2d(Tensor self, Tensor indices, SymInt[2] output_size) -> Tensor"});
  add_rows(r, max_unpool(3), {"aten::max_unpool3d(Tensor self, Tensor indices, SymInt[3] output_size, int[3] stride, int[3] padding) -> Tensor"});
}

void add_avg_pools(Registry& r) {
  add_rows(
      r, avg_pool(1),
      {"aten::avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], bool ceil_mode=False, bool count_include_pad=True) -> Tensor"});
  add_rows(r, avg_pool(2),
           {"aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? "
            "divisor_override=None) -> Tensor"});
  add_rows(r, avg_pool(3),
           {"aten::avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? "
            "divisor_override=None) -> Tensor"});
}

}  // namespace

void add_pooling(Registry& r) {
  add_max_pools(r);
  add_avg_pools(r);
  add_rows(r, adaptive_avg_pool(1), {"aten::adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor"});
  add_rows(
      r, adaptive_avg_pool(2),
      {"aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", "aten::_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor"});
  add_rows(
      r, adaptive_avg_pool(3),
      {"aten::adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", "aten::_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor"});
  add_rows(r, adaptive_max_pool(1), {"aten::adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)"});
  add_rows(r, adaptive_max_pool(2), {"aten::adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)"});
  add_rows(r, adaptive_max_pool(3), {"aten::adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)"});
}

}  // namespace reprise::ops
