// Sampling of images at computed places: grid_sampler, affine grids, RoI align.
#include <cmath>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/index_list.h"

namespace reprise::ops {
namespace {

/// One source element per sample along one dimension: its index, inside the image, and its weight, 0 where the sample lies outside.
struct Tap {
  Val index, weight;
};

enum class Interpolation : std::uint8_t { linear = 0, nearest = 1, cubic = 2 };
enum class Outside : std::uint8_t { zeros = 0, border = 1, reflection = 2 };

/// A number rounded to the image's dtype after every operation, as PyTorch computes places and weights: in bf16 a place may well lie a pixel beside the exact
/// one.
class Rounded {
 public:
  Rounded(Term t, DType to) : t_(t.as(to).as(compute_type(to))), to_(to) {}
  [[nodiscard]] Term stored() const { return t_.as(to_); }
  [[nodiscard]] Term wide() const { return t_; }
  [[nodiscard]] Rounded of(const Expr& e) const { return {t_.of(e), to_}; }
  [[nodiscard]] Rounded apply(ScalarOp op) const { return {t_.apply(op), to_}; }
  [[nodiscard]] Rounded apply(ScalarOp op, Rounded b) const { return {t_.apply(op, b.t_), to_}; }
  [[nodiscard]] Rounded apply(ScalarOp op, double c) const { return {t_.apply(op, t_.of(c)), to_}; }
  /// `condition` ? a : b.
  static Rounded pick(Term condition, Rounded a, Rounded b) { return {condition.pick(a.t_, b.t_), a.to_}; }

  friend Rounded operator+(Rounded a, Rounded b) { return a.apply(ScalarOp::add, b); }
  friend Rounded operator-(Rounded a, Rounded b) { return a.apply(ScalarOp::sub, b); }
  friend Rounded operator*(Rounded a, Rounded b) { return a.apply(ScalarOp::mul, b); }
  friend Rounded operator+(Rounded a, double c) { return a.apply(ScalarOp::add, c); }
  friend Rounded operator-(Rounded a, double c) { return a.apply(ScalarOp::sub, c); }
  friend Rounded operator*(double c, Rounded a) { return a.apply(ScalarOp::mul, c); }
  friend Rounded operator-(double c, Rounded a) { return {c - a.t_, a.to_}; }
  friend Rounded operator/(Rounded a, double c) { return a.apply(ScalarOp::div, c); }
  friend Rounded operator/(Rounded a, Rounded b) { return a.apply(ScalarOp::div, b); }
  friend Term operator<=(Rounded a, double c) { return a.t_ <= c; }
  friend Term equal(Rounded a, double c) { return equal(a.t_, c); }
  friend Rounded floor(Rounded a) { return a.apply(ScalarOp::floor); }

 private:
  Term t_;
  DType to_;
};

/// One dimension of the image that is sampled.
struct Axis {
  Expr size;
  Outside outside;
  bool align_corners;

  /// From [-1, 1] to pixels.
  [[nodiscard]] Rounded pixel(Rounded x) const {
    if (align_corners) return (x + 1) / 2 * x.of(size - 1);
    return ((x + 1) * x.of(size) - 1) / 2;
  }
  [[nodiscard]] Rounded padded(Rounded x) const {
    if (outside == Outside::zeros) return x;
    const Rounded in = outside == Outside::border ? x : reflected(x);
    return in.apply(ScalarOp::fmax, 0).apply(ScalarOp::minimum, x.of(size - 1));  // NaN becomes 0
  }

 private:
  /// Mirrored at the centers of the outer pixels (align_corners) or at their edges.
  [[nodiscard]] Rounded reflected(Rounded x) const {
    const double low = align_corners ? 0 : -0.5;
    const Rounded span = x.of(align_corners ? size - 1 : size);
    const Rounded away = (x - low).apply(ScalarOp::abs);
    const Rounded extra = away.apply(ScalarOp::fmod, span), flips = floor(away / span);
    const Term even = equal(flips.apply(ScalarOp::fmod, 2), 0);
    return Rounded::pick(span <= 0, x.of(0), Rounded::pick(even, extra + low, span - extra + low));
  }
};

/// The element at a whole-numbered place, with its weight. The bounds are exact: 511 is 512 in bf16.
std::array<Term, 2> tap_at(const Axis& axis, Rounded place, Rounded weight) {
  const Term at = place.wide(), last = at.of(axis.size - 1), first = at.of(0);
  const Term inside = at >= first && at <= last;
  return {inside.pick(at, first).as(DType::i64), Rounded::pick(inside, weight, weight.of(0)).stored()};
}

/// Weight of the k-th of four neighbours for a fraction t (Keys' kernel with a = -0.75, as PyTorch's).
Rounded cubic_weight(Rounded t, int k) {
  constexpr double a = -0.75;
  const auto near = [](Rounded x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [](Rounded x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  switch (k) {
    case 0:
      return far(t + 1);
    case 1:
      return near(t);
    case 2:
      return near(1 - t);
    default:
      return far(2 - t);
  }
}

std::vector<Tap> taps(Builder& b, const Axis& axis, Interpolation how, Val coordinate) {
  std::vector<Tap> out;
  const auto add = [&](auto body) {
    const auto both = compute_all(
        b, [&](Term x) { return body(axis.pixel(Rounded(x, coordinate.dtype()))); }, coordinate);
    out.push_back({both[0], both[1]});
  };
  const int count = how == Interpolation::nearest ? 1 : how == Interpolation::linear ? 2 : 4;
  for (int k = 0; k < count; ++k) {
    if (how == Interpolation::nearest) add([&](Rounded x) { return tap_at(axis, axis.padded(x).apply(ScalarOp::round), x.of(1)); });
    if (how == Interpolation::linear)
      add([&](Rounded x) {
        const Rounded p = axis.padded(x), low = floor(p), t = p - low;
        return tap_at(axis, low + k, k == 0 ? 1 - t : t);
      });
    if (how == Interpolation::cubic)
      add([&](Rounded x) {
        const Rounded low = floor(x);
        return tap_at(axis, axis.padded(low + (k - 1)), cubic_weight(x - low, k));
      });
  }
  return out;
}

/// The positions and weights of pairs of taps; `inner_size` elements lie between neighbours of the outer dimension.
Tap combined(Builder& b, const Tap& outer, const Tap& inner, const Expr& inner_size) {
  const auto body = [&](Term i, Term w, Term j, Term v) {
    return std::array{i * i.of(inner_size) + j, (Rounded(v, v.type()) * Rounded(w, w.type())).stored()};
  };
  const auto both = compute_all(b, body, outer.index, outer.weight, inner.index, inner.weight);
  return {both[0], both[1]};
}

/// total + value * weight; no total: the product. value [N, C, P], weight [N, P].
Val add_weighted(Builder& b, Val total, Val value, Val weight) {
  const auto product = [](Term v, Term w) { return Rounded(v, v.type()) * Rounded(w, w.type()); };
  const Val w = b.unsqueeze(weight, 1);
  if (!total.defined())
    return compute(
        b, [&](Term v, Term u) { return product(v, u).stored(); }, value, w);
  return compute(
      b, [&](Term t, Term v, Term u) { return (Rounded(t, t.type()) + product(v, u)).stored(); }, total, value, w);
}

/// What a sample's taps (one list per spatial dimension) give together: x[N, C, *S], taps [N, P] → [N, C, P].
Val sample(Builder& b, Val x, const std::vector<std::vector<Tap>>& by_dim, Interpolation how) {
  const Shape spatial(x.sizes().begin() + 2, x.sizes().end());
  const Val planes = b.reshape(x, {x.size(0), x.size(1), sym::product(spatial)});
  const auto value_at = [&](Val index) { return b.gather(planes, b.expand(b.unsqueeze(index, 1), {x.size(0), x.size(1), index.size(1)}), 2); };
  Val total;
  if (how == Interpolation::cubic) {  // two dimensions: rows first, as PyTorch sums them
    for (const Tap& y : by_dim[0]) {
      Val row;
      for (const Tap& across : by_dim[1]) row = add_weighted(b, row, value_at(combined(b, y, across, spatial[1]).index), across.weight);
      total = add_weighted(b, total, row, y.weight);
    }
    return total;
  }
  std::vector<Tap> corners = by_dim.back();
  Expr plane = spatial.back();
  for (std::size_t d = by_dim.size() - 1; d-- > 0; plane = plane * spatial[d]) {
    std::vector<Tap> next;
    for (const Tap& outer : by_dim[d])
      for (const Tap& inner : corners) next.push_back(combined(b, outer, inner, plane));
    corners = std::move(next);
  }
  for (const Tap& corner : corners) total = add_weighted(b, total, value_at(corner.index), corner.weight);
  return total;
}

/// x[N, C, *S], grid[N, *O, dims] with the last spatial dimension first.
void convert_grid_sampler(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("input"), grid = c.tensor("grid");
  const int dims = x.rank() - 2;
  const auto how = static_cast<Interpolation>(c.fixed("interpolation_mode"));
  const auto outside = static_cast<Outside>(c.fixed("padding_mode"));
  const Shape output(grid.sizes().begin() + 1, grid.sizes().end() - 1);
  std::vector<std::vector<Tap>> by_dim;
  for (int d = 0; d < dims; ++d) {
    const Val coordinate = b.reshape(b.select(grid, grid.rank() - 1, dims - 1 - d), {grid.size(0), sym::product(output)});
    by_dim.push_back(taps(b, {x.size(d + 2), outside, c.flag("align_corners")}, how, coordinate));
  }
  Shape sizes{x.size(0), x.size(1)};
  sizes.insert(sizes.end(), output.begin(), output.end());
  c.set(0, b.reshape(sample(b, x, by_dim, how), sizes));
}

// ---- affine grid ----

/// n places in [-1, 1]: at both ends, or at the centers of n equal cells.
Val base_places(Builder& b, const Expr& n, bool align_corners, int dim, int rank, DType dtype) {
  const bool single = ir::is_const(n, 1);
  const auto place = [&](Term i) {
    if (single) return (i * 0.0).as(dtype);
    return (align_corners ? i * 2 / i.of(n - 1) - 1 : (i * 2 + 1) / i.of(n) - 1).as(dtype);
  };
  return compute(b, place, positions(b, n, dim, rank, compute_type(dtype)));
}

/// theta[N, dims, dims + 1] applied to every place of an output of sizes [N, C, *O]; coordinates stand last dimension first.
void convert_affine_grid(Context& c) {
  Builder& b = c.build();
  const Val theta = c.tensor("theta");
  const Shape size = c.ints("size");
  const int dims = static_cast<int>(size.size()) - 2;
  std::vector<Val> columns;
  for (int k = 0; k < dims; ++k) {
    const auto factor = [&](int j) {
      Val f = b.select(b.select(theta, 1, k), 1, j);
      for (int d = 0; d < dims; ++d) f = b.unsqueeze(f, f.rank());
      return f;
    };
    Val total = factor(dims);
    for (int j = 0; j < dims; ++j) {
      const int d = dims - 1 - j;  // coordinate j runs along this dimension of the output
      const Val place = base_places(b, size[static_cast<std::size_t>(d) + 2], c.flag("align_corners"), d + 1, dims + 1, theta.dtype());
      total = compute(
          b, [](Term t, Term f, Term p) { return t + f * p; }, total, factor(j), place);
    }
    columns.push_back(b.unsqueeze(total, dims + 1));
  }
  c.set(0, b.concat(columns, dims + 1));
}

// ---- RoI align ----

/// The samples of all regions along one dimension of the image: low and high neighbour of each of bins * samples places, [K, bins * samples].
struct RoiAxis {
  Tap low, high;
  Val samples;  // [K] how many of them count in each bin
};

struct Roi {
  Val start, extent;  // [K], in pixels
};

/// How many samples each bin takes: a given number, or enough for one per pixel. `most` is the largest of all regions.
Val samples_per_bin(Builder& b, const Roi& roi, const Expr& bins, std::int64_t ratio, Expr& most) {
  most = ratio;
  if (ratio > 0) return filled(b, roi.extent.sizes(), ratio, roi.extent.dtype());
  const Val each = compute(
      b, [&](Term e) { return (e / e.of(bins)).apply(ScalarOp::ceil); }, roi.extent);
  const Val padded[] = {each, b.fill({1}, 0.0, each.dtype())};  // also when there is no region
  most = fresh_symbol(b, sym::kUnbounded);
  b.item(b.cast(b.reduce(ir::ReduceKind::max, b.concat(padded, 0), {}, false, each.dtype()), DType::i64), most);
  return each;
}

RoiAxis roi_axis(Builder& b, const Roi& roi, const Expr& size, const Expr& bins, std::int64_t ratio) {
  Expr most;
  const Val samples = samples_per_bin(b, roi, bins, ratio, most);
  const DType t = roi.start.dtype();
  const auto column = [&](Val v) { return b.unsqueeze(b.unsqueeze(v, 1), 2); };
  const auto neighbour = [&](bool high) {
    const auto body = [&](Term start, Term extent, Term n, Term bin, Term i) {
      const Term width = extent / extent.of(bins), at = start + bin * width + (i + 0.5) * width / n;
      const Term counts = i < n && at >= -1.0 && at <= at.of(size);
      const Term low = min(floor(max(at, 0)), at.of(size - 1)), last = low >= at.of(size - 1);
      const Term fraction = last.pick(at.of(0), max(at, 0) - low);
      const Term index = high ? min(low + 1, at.of(size - 1)) : low;
      return std::array{counts.pick(index, at.of(0)).as(DType::i64), counts.pick(high ? fraction : 1 - fraction, at.of(0))};
    };
    const auto both = compute_all(b, body, column(roi.start), column(roi.extent), column(samples), positions(b, bins, 1, 3, t), positions(b, most, 2, 3, t));
    const Shape flat{roi.start.size(0), bins * most};
    return Tap{b.reshape(both[0], flat), b.reshape(both[1], flat)};
  };
  const Tap low = neighbour(false);
  return {low, neighbour(true), samples};
}

/// The weighted elements that a pair of neighbours gives: [K, Sy, Sx, C].
Val roi_values(Builder& b, Val x, Val image, const Tap& y, const Tap& across) {
  const auto rows = [&](Val v) { return b.unsqueeze(v, 2); };
  const auto columns = [&](Val v) { return b.unsqueeze(v, 1); };
  const Val indices[] = {b.unsqueeze(b.unsqueeze(image, 1), 2), rows(y.index), columns(across.index)};
  const Val values = b.index(x, indices, {0, 2, 3}, 0);
  const auto last = [&](Val v) { return b.unsqueeze(v, 3); };
  return compute(
      b, [](Term v, Term p, Term q) { return v.as(p.type()) * p * q; }, values, last(rows(y.weight)), last(columns(across.weight)));
}

void convert_roi_align(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("input"), rois = b.cast(c.tensor("rois"), compute_type(x.dtype()));
  const double scale = c.real("spatial_scale"), offset = c.flag("aligned") ? 0.5 : 0;
  const Expr height = c.integer("pooled_height"), width = c.integer("pooled_width");
  const std::int64_t ratio = std::max<std::int64_t>(c.fixed("sampling_ratio"), 0);
  const auto roi = [&](int first) {
    const auto body = [&](Term a, Term z) {
      const Term start = a * scale - offset, extent = (z * scale - offset) - start;
      return std::array{start, c.flag("aligned") ? extent : max(extent, 1)};
    };
    const auto both = compute_all(b, body, b.select(rois, 1, first), b.select(rois, 1, first + 2));
    return Roi{both[0], both[1]};
  };
  const Val image = b.cast(b.select(rois, 1, 0), DType::i64);
  const RoiAxis down = roi_axis(b, roi(2), x.size(2), height, ratio), across = roi_axis(b, roi(1), x.size(3), width, ratio);
  Val total;
  for (const Tap& y : {down.low, down.high})
    for (const Tap& q : {across.low, across.high}) {
      const Val part = roi_values(b, x, image, y, q);
      total = total.defined() ? b.binary(ScalarOp::add, total, part) : part;
    }
  const Val bins = b.reshape(total, {rois.size(0), height, sym::floor_div(total.size(1), height), width, sym::floor_div(total.size(2), width), x.size(1)});
  const auto column = [&](Val v) { return b.reshape(v, {v.size(0), 1, 1, 1}); };
  const auto mean = [&](Term s, Term n, Term m) { return (s / max(n * m, 1)).as(x.dtype()); };
  const int order[] = {0, 3, 1, 2};
  c.set(0, b.permute(compute(b, mean, sum(b, bins, {2, 4}), column(down.samples), column(across.samples)), order));
}

}  // namespace

void add_vision(Registry& r) {
  add_rows(r, convert_grid_sampler,
           {"aten::grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
            "aten::grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
            "aten::grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
            "aten::_grid_sampler_2d_cpu_fallback(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor"});
  add_rows(r, convert_affine_grid, {"aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor"});
  add_rows(r, convert_roi_align,
           {"torchvision::roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, int sampling_ratio, bool "
            "aligned) -> Tensor"});
}

}  // namespace reprise::ops
