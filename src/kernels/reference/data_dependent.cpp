// Ops whose results are as large as their data say: nonzero, unique, nms, repeat_interleave. Results are row-major from the start of their buffers.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/reference/convert.h"
#include "kernels/reference/step.h"
#include "kernels/reference/strided.h"
#include "kernels/reference/visit.h"
#include "kernels/reference/walk.h"

namespace reprise::kernels::reference {
namespace {

void store_count(const OperandRef& count, void* const* bindings, std::int64_t n) { *reinterpret_cast<std::int64_t*>(count.at(bindings)) = n; }

template <class E>
void list_nonzero(const OperandRef& x, std::int64_t* out, std::int64_t& found, const std::byte* base) {
  std::array<std::int64_t, kMaxRank> index{};
  const auto* data = reinterpret_cast<const E*>(base);
  walk<1>(x.shape(), {x.strides.data()}, [&](const auto& o) {
    if (convert<bool>(data[o[0]])) {
      std::copy_n(index.begin(), x.rank, out + found++ * x.rank);
    }
    for (int d = x.rank - 1; d >= 0 && ++index[static_cast<std::size_t>(d)] == x.sizes[static_cast<std::size_t>(d)]; --d)
      index[static_cast<std::size_t>(d)] = 0;
  });
}

// ---- unique -----------------------------------------------------------------------------------------------------------------------------

// Compares as numbers; NaN is after everything and different from itself.
template <class C>
int three_way(C a, C b) {
  if constexpr (std::is_floating_point_v<C>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) == std::isnan(b) ? 0 : (std::isnan(a) ? 1 : -1);
  }
  return a < b ? -1 : (b < a ? 1 : 0);
}
template <class C>
bool same_value(C a, C b) {
  return a == b;
}

// x as `slices` slices of `width` elements each: one per element when flat, one per position along the axis otherwise.
struct Unique {
  OperandRef x, values, inverse, counts, count;
  int axis = -1;
  bool consecutive = false;
  std::int64_t slices = 0, width = 1;

  // Element j of slice i in `rows` (slice after slice).
  template <class E>
  void gather_rows(E* rows, const std::byte* base) const {
    const auto* data = reinterpret_cast<const E*>(base);
    std::int64_t next = 0;
    if (axis < 0) {
      walk<1>(x.shape(), {x.strides.data()}, [&](const auto& o) { rows[next++] = data[o[0]]; });
      return;
    }
    const Others others(x, axis);
    for (std::int64_t i = 0; i < slices; ++i) {
      walk<1>(others.shape(), {others.strides.data()}, [&](const auto& o) { rows[next++] = data[o[0] + i * x.strides[static_cast<std::size_t>(axis)]]; });
    }
  }

  template <class E>
  void run(void* const* bindings, std::byte* scratch) const {
    using C = compute_t<E>;
    auto* rows = reinterpret_cast<E*>(scratch);
    auto* order = reinterpret_cast<std::int64_t*>(scratch + aligned(static_cast<std::size_t>(slices * width) * sizeof(E)));
    gather_rows(rows, x.at(bindings));
    std::iota(order, order + slices, std::int64_t{0});
    const auto at = [&](std::int64_t slice, std::int64_t j) { return convert<C>(rows[slice * width + j]); };
    if (!consecutive) {
      std::sort(order, order + slices, [&](std::int64_t a, std::int64_t b) {
        for (std::int64_t j = 0; j < width; ++j) {
          if (const int c = three_way<C>(at(a, j), at(b, j)); c != 0) return c < 0;
        }
        return a < b;
      });
    }
    const auto equal = [&](std::int64_t a, std::int64_t b) {
      for (std::int64_t j = 0; j < width; ++j) {
        if (!same_value<C>(at(a, j), at(b, j))) return false;
      }
      return true;
    };
    auto* inverse_out = reinterpret_cast<std::int64_t*>(inverse.at(bindings));
    auto* counts_out = reinterpret_cast<std::int64_t*>(counts.at(bindings));
    std::int64_t found = 0;
    // order[found] keeps the first slice of each group: `found` never passes i.
    for (std::int64_t i = 0; i < slices; ++i) {
      const auto slice = order[i];
      if (i == 0 || !equal(order[found - 1], slice)) {
        counts_out[found] = 0;
        order[found++] = slice;
      }
      inverse_out[slice] = found - 1;
      ++counts_out[found - 1];
    }
    store_values(rows, order, found, bindings);
    store_count(count, bindings, found);
  }

  // values has x's sizes with `found` along the axis, row-major.
  template <class E>
  void store_values(const E* rows, const std::int64_t* order, std::int64_t found, void* const* bindings) const {
    auto* out = reinterpret_cast<E*>(values.at(bindings));
    if (axis < 0) {
      for (std::int64_t i = 0; i < found; ++i) out[i] = rows[order[i]];
      return;
    }
    std::int64_t inner = 1;
    for (int d = axis + 1; d < x.rank; ++d) inner *= x.sizes[static_cast<std::size_t>(d)];
    const std::int64_t outer = inner == 0 ? 0 : width / inner;
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < found; ++i) std::copy_n(rows + order[i] * width + o * inner, inner, out + (o * found + i) * inner);
    }
  }
};

// ---- nms --------------------------------------------------------------------------------------------------------------------------------

// Boxes as x1, y1, x2, y2, best score first; a box goes when it covers an earlier one by more than the threshold (intersection over union).
struct Nms {
  OperandRef boxes, scores, kept, count;
  double threshold = 0;

  template <class C>
  void run(void* const* bindings, std::byte* scratch) const {
    const auto n = scores.sizes[0];
    auto* box = reinterpret_cast<C*>(scratch);
    auto* score = box + 4 * n;
    auto* order = reinterpret_cast<std::int64_t*>(scratch + aligned(static_cast<std::size_t>(5 * n) * sizeof(C)));
    Reader(boxes, dtype_of<C>()).read(boxes.at(bindings), 0, 4 * n, box);
    Reader(scores, dtype_of<C>()).read(scores.at(bindings), 0, n, score);
    std::iota(order, order + n, std::int64_t{0});
    std::sort(order, order + n, [&](auto a, auto b) { return three_way<C>(score[b], score[a]) < 0 || (three_way<C>(score[b], score[a]) == 0 && a < b); });
    auto* out = reinterpret_cast<std::int64_t*>(kept.at(bindings));
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const C* candidate = box + 4 * order[i];
      if (std::none_of(out, out + found, [&](std::int64_t k) { return overlap(box + 4 * k, candidate) > static_cast<C>(threshold); })) out[found++] = order[i];
    }
    store_count(count, bindings, found);
  }

  template <class C>
  static C overlap(const C* a, const C* b) {
    const auto area = [](const C* r) { return (r[2] - r[0]) * (r[3] - r[1]); };
    const C w = std::max(C(0), std::min(a[2], b[2]) - std::max(a[0], b[0])), h = std::max(C(0), std::min(a[3], b[3]) - std::max(a[1], b[1]));
    return w * h / (area(a) + area(b) - w * h);
  }
};

template <class I>
void repeat_rows(const OperandRef& repeats, const OperandRef& y, const std::string& name, void* const* bindings, std::int64_t& total) {
  const auto* times = reinterpret_cast<const I*>(repeats.at(bindings));
  auto* out = reinterpret_cast<std::int64_t*>(y.at(bindings));
  for (std::int64_t i = 0; i < repeats.sizes[0]; ++i) {
    const auto n = static_cast<std::int64_t>(times[i * repeats.strides[0]]);
    REPRISE_CHECK(n >= 0, ShapeError, "[run/{}] repeats must not be negative (got {})", name, n);
    REPRISE_CHECK(n <= y.sizes[0] - total, ShapeError, "[run/{}] repeats sum to more than the result's size {}", name, y.sizes[0]);
    std::fill_n(out + total, n, i);
    total += n;
  }
}

}  // namespace

StepPtr make_nonzero(const StepSpec& spec) {
  check_counts(spec, 1, 2, 2);
  const auto x = spec.inputs[0], y = spec.outputs[0], count = spec.outputs[1];
  check(y.dtype == DType::i64 && count.dtype == DType::i64 && y.rank == 2 && y.sizes[1] == x.rank, spec, "operands disagree");
  check(y.sizes[0] >= x.numel(), spec, "the result cannot hold every element");
  return visit(x.dtype, [&]<class E>(E) {
    return make_step([=](void* const* bindings) {
      std::int64_t found = 0;
      list_nonzero<E>(x, reinterpret_cast<std::int64_t*>(y.at(bindings)), found, x.at(bindings));
      store_count(count, bindings, found);
    });
  });
}

StepPtr make_unique(const StepSpec& spec) {
  check_counts(spec, 1, 4, 4);
  Unique u{.x = spec.inputs[0], .values = spec.outputs[0], .inverse = spec.outputs[1], .counts = spec.outputs[2], .count = spec.outputs[3]};
  const auto axis = spec.attrs->integer("axis");
  u.axis = axis < 0 ? -1 : axis_of(spec, axis, u.x.rank);
  u.consecutive = spec.attrs->flag("consecutive");
  u.slices = u.axis < 0 ? u.x.numel() : u.x.sizes[static_cast<std::size_t>(u.axis)];
  u.width = u.slices == 0 ? 0 : u.x.numel() / u.slices;
  check(u.values.dtype == u.x.dtype && u.inverse.dtype == DType::i64 && u.counts.dtype == DType::i64 && u.count.dtype == DType::i64, spec, "dtypes disagree");
  check(u.values.numel() >= u.x.numel() && u.inverse.numel() >= u.slices && u.counts.numel() >= u.slices, spec, "the results cannot hold every element");
  const auto scratch =
      aligned(static_cast<std::size_t>(u.slices * u.width) * item_size(u.x.dtype)) + aligned(static_cast<std::size_t>(u.slices) * sizeof(std::int64_t)) + 64;
  return visit(u.x.dtype, [&]<class E>(E) { return make_step(scratch, [u](void* const* bindings, std::byte* space) { u.run<E>(bindings, space); }); });
}

StepPtr make_nms(const StepSpec& spec) {
  check_counts(spec, 2, 2, 2);
  const Nms nms{spec.inputs[0], spec.inputs[1], spec.outputs[0], spec.outputs[1], spec.attrs->real("iou_threshold")};
  check(nms.boxes.rank == 2 && nms.boxes.sizes[1] == 4 && nms.scores.rank == 1 && nms.scores.sizes[0] == nms.boxes.sizes[0], spec,
        "boxes must be [n, 4] and scores [n]");
  check(is_floating(nms.boxes.dtype) && is_floating(nms.scores.dtype) && nms.kept.dtype == DType::i64 && nms.count.dtype == DType::i64, spec,
        "dtypes disagree");
  check(nms.kept.numel() >= nms.scores.sizes[0], spec, "the result cannot hold every box");
  const auto n = static_cast<std::size_t>(nms.scores.sizes[0]);
  const bool wide = nms.boxes.dtype == DType::f64 || nms.scores.dtype == DType::f64;
  const auto scratch = aligned(5 * n * sizeof(double)) + aligned(n * sizeof(std::int64_t)) + 64;
  if (wide) return make_step(scratch, [nms](void* const* b, std::byte* s) { nms.run<double>(b, s); });
  return make_step(scratch, [nms](void* const* b, std::byte* s) { nms.run<float>(b, s); });
}

StepPtr make_repeat_interleave(const StepSpec& spec) {
  check_counts(spec, 1, 1, 2);
  const auto repeats = spec.inputs[0], y = spec.outputs[0];
  check(repeats.rank == 1 && (repeats.dtype == DType::i64 || repeats.dtype == DType::i32) && y.rank == 1 && y.dtype == DType::i64, spec, "operands disagree");
  const bool counted = spec.outputs.size() == 2;
  const auto count = counted ? spec.outputs[1] : OperandRef{};
  return make_step([=, name = spec.name](void* const* bindings) {
    std::int64_t total = 0;
    if (repeats.dtype == DType::i64)
      repeat_rows<std::int64_t>(repeats, y, name, bindings, total);
    else
      repeat_rows<std::int32_t>(repeats, y, name, bindings, total);
    if (counted) store_count(count, bindings, total);
  });
}

}  // namespace reprise::kernels::reference
