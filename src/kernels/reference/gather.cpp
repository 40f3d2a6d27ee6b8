// gather and scatter: one index per element along an axis.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "kernels/reference/convert.h"
#include "kernels/reference/step.h"
#include "kernels/reference/visit.h"
#include "kernels/reference/walk.h"

namespace reprise::kernels::reference {
namespace {

// Walks the index tensor beside two others, the first without its axis: that one's position comes from the index.
struct Along {
  OperandRef table, index, list;
  std::array<std::int64_t, kMaxRank> table_strides{};  // 0 along the axis
  std::int64_t axis_stride = 0, axis_size = 0;
  std::string name;

  template <class F>
  void each(void* const* bindings, const F& f) const {
    if (index.dtype == DType::i64) return each_of(reinterpret_cast<const std::int64_t*>(index.at(bindings)), f);
    each_of(reinterpret_cast<const std::int32_t*>(index.at(bindings)), f);
  }

 private:
  template <class I, class F>
  void each_of(const I* values, const F& f) const {
    walk<3>(index.shape(), {table_strides.data(), index.strides.data(), list.strides.data()}, [&](const auto& o) {
      const auto i = static_cast<std::int64_t>(values[o[1]]);
      REPRISE_CHECK(i >= 0 && i < axis_size, ShapeError, "[run/{}] index {} is out of range for a dimension of size {}", name, i, axis_size);
      f(o[0] + i * axis_stride, o[2]);
    });
  }
};

Along along(const StepSpec& spec, const OperandRef& table, const OperandRef& index, const OperandRef& list) {
  Along out{.table = table, .index = index, .list = list, .table_strides = table.strides, .axis_stride = 1, .axis_size = 1, .name = spec.name};
  check(index.dtype == DType::i64 || index.dtype == DType::i32, spec, "indices must be integers");
  check(table.dtype == list.dtype, spec, "dtypes differ");
  check(table.rank == index.rank && same_shape(index, list), spec, "operands disagree in rank or sizes");
  if (table.rank == 0) return out;
  const auto axis = static_cast<std::size_t>(axis_of(spec, spec.attrs->integer("axis"), table.rank));
  for (std::size_t d = 0; d < static_cast<std::size_t>(index.rank); ++d)
    check(d == axis || index.sizes[d] <= table.sizes[d], spec, "the index is larger than what it points into");
  out.axis_stride = table.strides[axis];
  out.axis_size = table.sizes[axis];
  out.table_strides[axis] = 0;
  return out;
}

enum class Reduce { none, sum, prod, mean, max, min };
Reduce parse_reduce(const StepSpec& spec) {
  const auto& text = spec.attrs->text("reduce");
  constexpr std::pair<const char*, Reduce> kNames[] = {{"none", Reduce::none}, {"sum", Reduce::sum}, {"prod", Reduce::prod},
                                                       {"mean", Reduce::mean}, {"max", Reduce::max}, {"min", Reduce::min}};
  const auto* it = std::find_if(std::begin(kNames), std::end(kNames), [&](const auto& n) { return text == n.first; });
  check(it != std::end(kNames), spec, "unknown reduction");
  return it->second;
}

template <class C>
C identity(Reduce reduce) {
  if (reduce == Reduce::prod) return C(1);
  if (reduce != Reduce::max && reduce != Reduce::min) return C(0);
  using Limits = std::numeric_limits<C>;
  if constexpr (Limits::has_infinity) return reduce == Reduce::max ? -Limits::infinity() : Limits::infinity();
  return reduce == Reduce::max ? Limits::lowest() : Limits::max();
}

template <class C>
C combine(Reduce reduce, C a, C b) {
  if constexpr (std::is_floating_point_v<C>) {
    if (reduce == Reduce::max || reduce == Reduce::min) {
      if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<C>::quiet_NaN();
    }
  }
  switch (reduce) {
    case Reduce::none:
      return b;
    case Reduce::sum:
    case Reduce::mean:
      return static_cast<C>(a + b);
    case Reduce::prod:
      return static_cast<C>(a * b);
    case Reduce::max:
      return std::max(a, b);
    case Reduce::min:
      return std::min(a, b);
  }
  return b;
}

template <class C>
C divide(C sum, std::int64_t count) {
  if constexpr (std::is_floating_point_v<C>) {
    return sum / static_cast<C>(count);
  } else if constexpr (std::is_unsigned_v<C>) {
    return static_cast<C>(sum / static_cast<C>(count));
  } else {
    const auto n = static_cast<std::int64_t>(count), s = static_cast<std::int64_t>(sum);
    return static_cast<C>(s / n - (s % n < 0 ? 1 : 0));  // toward minus infinity
  }
}

struct Scatter {
  Along to;
  OperandRef y;
  Reduce reduce = Reduce::none;
  bool include_self = true;
  std::shared_ptr<device::Step> base;  // copies x to y; null in place

  // y's elements are row-major here, so that the counts of `mean` stand beside them.
  template <class E>
  void run(void* const* bindings, std::byte* scratch) const {
    using C = compute_t<E>;
    if (base) base->run(bindings);
    auto* out = reinterpret_cast<E*>(to.table.at(bindings));
    const auto* src = reinterpret_cast<const E*>(to.list.at(bindings));
    if (!include_self) to.each(bindings, [&](std::int64_t t, std::int64_t) { out[t] = convert<E>(identity<C>(reduce)); });
    if (reduce != Reduce::mean) {
      to.each(bindings, [&](std::int64_t t, std::int64_t l) { out[t] = convert<E>(combine<C>(reduce, convert<C>(out[t]), convert<C>(src[l]))); });
      return;
    }
    auto* counts = reinterpret_cast<std::int64_t*>(scratch);
    std::fill_n(counts, y.numel(), include_self ? 1 : 0);
    to.each(bindings, [&](std::int64_t t, std::int64_t l) {
      out[t] = convert<E>(combine<C>(reduce, convert<C>(out[t]), convert<C>(src[l])));
      ++counts[t];
    });
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      if (counts[i] > 1) out[i] = convert<E>(divide<C>(convert<C>(out[i]), counts[i]));
    }
  }
};

StepPtr scatter_step(const Scatter& scatter) {
  if (scatter.reduce == Reduce::none) {
    return with_bits(item_size(scatter.y.dtype), [&](auto bits) {
      using T = decltype(bits);
      return make_step([scatter](void* const* bindings) {
        if (scatter.base) scatter.base->run(bindings);
        auto* out = reinterpret_cast<T*>(scatter.to.table.at(bindings));
        const auto* src = reinterpret_cast<const T*>(scatter.to.list.at(bindings));
        scatter.to.each(bindings, [&](std::int64_t t, std::int64_t l) { out[t] = src[l]; });
      });
    });
  }
  const auto scratch = scatter.reduce == Reduce::mean ? aligned(static_cast<std::size_t>(scatter.y.numel()) * sizeof(std::int64_t)) : 0;
  return visit(scatter.y.dtype,
               [&]<class E>(E) { return make_step(scratch, [scatter](void* const* bindings, std::byte* space) { scatter.run<E>(bindings, space); }); });
}

}  // namespace

StepPtr make_gather(const StepSpec& spec) {
  check_counts(spec, 2, 1, 1);
  const auto from = along(spec, spec.inputs[0], spec.inputs[1], spec.outputs[0]);
  return with_bits(item_size(spec.outputs[0].dtype), [&](auto bits) {
    using T = decltype(bits);
    return make_step([from](void* const* bindings) {
      const auto* table = reinterpret_cast<const T*>(from.table.at(bindings));
      auto* out = reinterpret_cast<T*>(from.list.at(bindings));
      from.each(bindings, [&](std::int64_t t, std::int64_t l) { out[l] = table[t]; });
    });
  });
}

StepPtr make_scatter(const StepSpec& spec) {
  check_counts(spec, 3, 1, 1);
  const auto &x = spec.inputs[0], &y = spec.outputs[0];
  check(same_shape(x, y) && x.dtype == y.dtype && y.is_contiguous(), spec, "the result has not the base's sizes and dtype, row-major");
  Scatter scatter{.to = along(spec, y, spec.inputs[1], spec.inputs[2]),
                  .y = y,
                  .reduce = parse_reduce(spec),
                  .include_self = spec.attrs->flag("include_self", true),
                  .base = nullptr};
  if (!same_memory(x, y)) {
    auto copy = spec;
    copy.op = core::Op::copy;
    copy.inputs = spec.inputs.first(1);
    scatter.base = make_copy(copy);
  }
  return scatter_step(scatter);
}

}  // namespace reprise::kernels::reference
