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

/// One dimension of the image that is sampled.
struct Axis {
  Expr size;
  Outside outside;
  bool align_corners;

  /// From [-1, 1] to pixels.
  [[nodiscard]] Term pixel(Term x) const {
    if (align_corners) return (x + 1) / 2 * x.of(size - 1);
    return ((x + 1) * x.of(size) - 1) / 2;
  }
  [[nodiscard]] Term padded(Term x) const {
    if (outside == Outside::zeros) return x;
    const Term in = outside == Outside::border ? x : reflected(x);
    return min(max(in, 0), x.of(size - 1));
  }

 private:
  /// Mirrored at the centers of the outer pixels (align_corners) or at their edges.
  [[nodiscard]] Term reflected(Term x) const {
    const double low = align_corners ? 0 : -0.5;
    const Term span = x.of(align_corners ? size - 1 : size);
    const Term away = abs(x - low);
    const Term extra = away.apply(ScalarOp::fmod, span), flips = floor(away / span);
    const Term even = equal(flips.apply(ScalarOp::fmod, flips.of(2)), 0);
    return (span <= 0).pick(x.of(0), even.pick(extra + low, span - extra + low));
  }
};

/// The element at a whole-numbered place, with its weight.
std::array<Term, 2> tap_at(const Axis& axis, Term place, Term weight) {
  const Term inside = place >= 0 && place <= place.of(axis.size - 1);
  const Term index = min(max(place, 0), place.of(axis.size - 1));
  return {inside.pick(index, place.of(0)).as(DType::i64), inside.pick(weight, weight.of(0))};
}

/// Weight of the k-th of four neighbours for a fraction t (Keys' kernel with a = -0.75, as PyTorch's).
Term cubic_weight(Term t, int k) {
  constexpr double a = -0.75;
  const auto near = [](Term x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [](Term x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
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
        b, [&](Term x) { return body(axis.pixel(x.as(compute_type(x.type())))); }, coordinate);
    out.push_back({both[0], both[1]});
  };
  const int count = how == Interpolation::nearest ? 1 : how == Interpolation::linear ? 2 : 4;
  for (int k = 0; k < count; ++k) {
    if (how == Interpolation::nearest) add([&](Term x) { return tap_at(axis, axis.padded(x).apply(ScalarOp::round), x.of(1)); });
    if (how == Interpolation::linear)
      add([&](Term x) {
        const Term p = axis.padded(x), low = floor(p), t = p - low;
        return tap_at(axis, low + k, k == 0 ? 1 - t : t);
      });
    if (how == Interpolation::cubic)
      add([&](Term x) {
        const Term low = floor(x);
        return tap_at(axis, axis.padded(low + (k - 1)), cubic_weight(x - low, k));
      });
  }
  return out;
}

/// The sum over all combinations of taps (one per spatial dimension) of weight times element: x[N, C, *S], taps [N, P] → [N, C, P].
Val sample(Builder& b, Val x, const std::vector<std::vector<Tap>>& by_dim) {
  const Shape spatial(x.sizes().begin() + 2, x.sizes().end());
  const Val planes = b.reshape(x, {x.size(0), x.size(1), sym::product(spatial)});
  std::vector<Tap> corners = by_dim[0];
  for (std::size_t d = 1; d < by_dim.size(); ++d) {
    std::vector<Tap> next;
    for (const Tap& outer : corners)
      for (const Tap& inner : by_dim[d]) {
        const auto body = [&](Term i, Term w, Term j, Term v) { return std::array{i * i.of(spatial[d]) + j, w * v}; };
        const auto both = compute_all(b, body, outer.index, outer.weight, inner.index, inner.weight);
        next.push_back({both[0], both[1]});
      }
    corners = std::move(next);
  }
  const Shape sizes{x.size(0), x.size(1), corners[0].index.size(1)};
  Val total;
  for (const Tap& corner : corners) {
    const Val value = b.gather(planes, b.expand(b.unsqueeze(corner.index, 1), sizes), 2), weight = b.unsqueeze(corner.weight, 1);
    total = total.defined() ? compute(
                                  b, [](Term s, Term v, Term w) { return s + v.as(w.type()) * w; }, total, value, weight)
                            : compute(
                                  b, [](Term v, Term w) { return v.as(w.type()) * w; }, value, weight);
  }
  return b.cast(total, x.dtype());
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
  c.set(0, b.reshape(sample(b, x, by_dim), sizes));
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
