// Concat, pad and write_view: outputs put together from copies into windows.
#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/reference/step.h"
#include "kernels/reference/walk.h"

namespace reprise::kernels::reference {
namespace {

StepPtr copy_step(const StepSpec& spec, const OperandRef& from, const OperandRef& to) {
  auto copy = spec;
  copy.op = core::Op::copy;
  copy.inputs = std::span(&from, 1);
  copy.outputs = std::span(&to, 1);
  return make_copy(copy);
}

// Steps one after the other; none of them needs scratch.
StepPtr sequence(std::vector<StepPtr> steps) {
  auto shared = std::make_shared<std::vector<StepPtr>>(std::move(steps));
  return make_step([shared](void* const* bindings) {
    for (const auto& step : *shared) step->run(bindings);
  });
}

std::int64_t& at(std::array<std::int64_t, kMaxRank>& values, int d) { return values[static_cast<std::size_t>(d)]; }
std::int64_t at(const std::array<std::int64_t, kMaxRank>& values, int d) { return values[static_cast<std::size_t>(d)]; }

// Where position i of a padded dimension comes from.
std::int64_t source_position(const std::string& kind, std::int64_t i, std::int64_t n) {
  if (kind == "replicate") return std::clamp<std::int64_t>(i, 0, n - 1);
  if (kind == "circular") return ((i % n) + n) % n;
  if (i < 0) return -i;  // reflect
  return i < n ? i : 2 * (n - 1) - i;
}

StepPtr pad_by_tables(const StepSpec& spec, const std::vector<std::int64_t>& before, const std::string& kind) {
  const auto x = spec.inputs[0], y = spec.outputs[0];
  auto tables = std::make_shared<std::vector<std::vector<std::int64_t>>>();
  for (int d = 0; d < y.rank; ++d) {
    auto& table = tables->emplace_back();
    for (std::int64_t i = 0; i < at(y.sizes, d); ++i) {
      const auto from = source_position(kind, i - before[static_cast<std::size_t>(d)], at(x.sizes, d));
      check(from >= 0 && from < at(x.sizes, d), spec, "padding is wider than the input");
      table.push_back(from * at(x.strides, d));
    }
  }
  return with_bits(item_size(x.dtype), [&](auto bits) {
    using T = decltype(bits);
    return make_step([x, y, tables](void* const* bindings) {
      const auto* from = reinterpret_cast<const T*>(x.at(bindings));
      auto* to = reinterpret_cast<T*>(y.at(bindings));
      std::array<std::int64_t, kMaxRank> index{};
      walk<1>(y.shape(), {y.strides.data()}, [&](const auto& offsets) {
        std::int64_t source = 0;
        for (int d = 0; d < y.rank; ++d) source += (*tables)[static_cast<std::size_t>(d)][static_cast<std::size_t>(at(index, d))];
        to[offsets[0]] = from[source];
        for (int d = y.rank - 1; d >= 0 && ++at(index, d) == at(y.sizes, d); --d) at(index, d) = 0;
      });
    });
  });
}

StepPtr pad_constant(const StepSpec& spec, const std::vector<std::int64_t>& before) {
  auto x = spec.inputs[0], y = spec.outputs[0];
  for (int d = 0; d < x.rank; ++d) {
    const auto shift = before[static_cast<std::size_t>(d)];
    const auto first = std::max<std::int64_t>(0, -shift);  // of x
    const auto end = std::min(at(x.sizes, d), at(y.sizes, d) - shift);
    x.offset += first * at(x.strides, d);
    y.offset += (first + shift) * at(y.strides, d);
    at(x.sizes, d) = at(y.sizes, d) = std::max<std::int64_t>(0, end - first);
  }
  std::vector<StepPtr> steps;
  auto fill = spec;
  fill.op = core::Op::fill;
  fill.inputs = {};
  steps.push_back(make_fill(fill));
  steps.push_back(copy_step(spec, x, y));
  return sequence(std::move(steps));
}

}  // namespace

StepPtr make_concat(const StepSpec& spec) {
  check(!spec.inputs.empty() && spec.outputs.size() == 1, spec, "wrong number of operands");
  const int axis = axis_of(spec, spec.attrs->integer("axis"), spec.outputs[0].rank);
  auto window = spec.outputs[0];
  std::vector<StepPtr> steps;
  std::int64_t total = 0;
  for (const auto& x : spec.inputs) {
    check(x.rank == window.rank && x.dtype == window.dtype, spec, "operands differ in rank or dtype");
    at(window.sizes, axis) = at(x.sizes, axis);
    steps.push_back(copy_step(spec, x, window));
    window.offset += at(x.sizes, axis) * at(window.strides, axis);
    total += at(x.sizes, axis);
  }
  check(total == at(spec.outputs[0].sizes, axis), spec, "sizes do not add up");
  return sequence(std::move(steps));
}

StepPtr make_pad(const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  const auto &x = spec.inputs[0], &y = spec.outputs[0];
  const auto before = spec.attrs->ints("before"), after = spec.attrs->ints("after");
  const auto& kind = spec.attrs->text("kind");
  const auto rank = static_cast<std::size_t>(x.rank);
  check(x.dtype == y.dtype && x.rank == y.rank && before.size() == rank && after.size() == rank, spec, "operands and padding disagree");
  for (std::size_t d = 0; d < rank; ++d) check(x.sizes[d] + before[d] + after[d] == y.sizes[d], spec, "sizes do not add up");
  if (kind == "constant") return pad_constant(spec, before);
  check(kind == "reflect" || kind == "replicate" || kind == "circular", spec, "unknown kind");
  return y.numel() == 0 ? make_step([](void* const*) {}) : pad_by_tables(spec, before, kind);
}

StepPtr make_write_view(const StepSpec& spec) {
  check_counts(spec, 2, 1, 1);
  const auto &x = spec.inputs[0], &src = spec.inputs[1], &y = spec.outputs[0];
  check(same_shape(x, y) && x.dtype == y.dtype && src.dtype == y.dtype, spec, "operands disagree");
  check(y.is_contiguous(), spec, "the result must be row-major");
  const auto sizes = spec.attrs->ints("sizes"), strides = spec.attrs->ints("strides");
  check(sizes.size() <= kMaxRank && sizes.size() == strides.size(), spec, "the view has not one stride per size");
  OperandRef window = y;
  window.rank = static_cast<int>(sizes.size());
  const auto offset = spec.attrs->integer("offset");
  std::int64_t last = offset;
  bool empty = false, fits = offset >= 0;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    window.sizes[d] = sizes[d];
    window.strides[d] = strides[d];
    empty = empty || sizes[d] == 0;
    std::int64_t step = 0;
    fits = fits && sizes[d] >= 0 && strides[d] >= 0 && !__builtin_mul_overflow(sizes[d] - 1, strides[d], &step) && !__builtin_add_overflow(last, step, &last);
  }
  check(empty || (fits && last < y.numel()), spec, "the view reaches outside");
  window.offset += offset;
  check(same_shape(src, window), spec, "the source has not the view's sizes");
  std::vector<StepPtr> steps;
  if (!same_memory(x, y)) steps.push_back(copy_step(spec, x, y));
  if (!empty) steps.push_back(copy_step(spec, src, window));
  return sequence(std::move(steps));
}

}  // namespace reprise::kernels::reference
