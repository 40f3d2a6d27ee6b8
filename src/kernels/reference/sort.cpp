// sort, topk and search_sorted. NaN counts as larger than everything.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/parallel.h"
#include "kernels/reference/step.h"
#include "kernels/reference/strided.h"
#include "kernels/reference/visit.h"
#include "kernels/reference/walk.h"

namespace reprise::kernels::reference {
namespace {

// Values are compared as f32, f64, i64 or u64.
DType key_dtype(DType t) {
  if (t == DType::f16 || t == DType::bf16 || t == DType::f32) return DType::f32;
  if (t == DType::f64 || t == DType::u64) return t;
  return DType::i64;
}

template <class K>
bool less(K a, K b) {
  if constexpr (std::is_floating_point_v<K>) return a < b || (std::isnan(b) && !std::isnan(a));
  return a < b;
}

// Rows along an axis of x, and where their results go.
struct Rows {
  OperandRef x, values, indices;
  int axis = 0;
  std::int64_t length = 1, kept = 1;  // of x, of the results
  bool descending = false, partial = false;
  int threads = 1;

  [[nodiscard]] std::int64_t stride(const OperandRef& o) const { return o.rank == 0 ? 0 : o.strides[static_cast<std::size_t>(axis)]; }
};

template <class K>
void order_rows(const Rows& rows, void* const* bindings, std::byte* scratch) {
  auto* keys = reinterpret_cast<K*>(scratch);
  auto* order = reinterpret_cast<std::int64_t*>(scratch + aligned(static_cast<std::size_t>(rows.length) * sizeof(K)));
  const auto read = read_run(rows.x.dtype, key_dtype(rows.x.dtype));
  const auto item = static_cast<std::int64_t>(item_size(rows.x.dtype));
  const Others of_x(rows.x, rows.axis), of_values(rows.values, rows.axis), of_indices(rows.indices, rows.axis);
  // Equal keys keep their order.
  const auto before = [&](std::int64_t a, std::int64_t b) {
    const K ka = keys[a], kb = keys[b];
    if (rows.descending ? less(kb, ka) : less(ka, kb)) return true;
    return !(rows.descending ? less(ka, kb) : less(kb, ka)) && a < b;
  };
  walk<3>(of_x.shape(), {of_x.strides.data(), of_values.strides.data(), of_indices.strides.data()}, [&](const auto& o) {
    const auto* row = rows.x.at(bindings) + o[0] * item;
    read(keys, row, rows.stride(rows.x), rows.length);
    std::iota(order, order + rows.length, std::int64_t{0});
    if (rows.partial)
      std::partial_sort(order, order + rows.kept, order + rows.length, before);
    else
      std::sort(order, order + rows.length, before);
    auto* indices = reinterpret_cast<std::int64_t*>(rows.indices.at(bindings)) + o[2];
    for (std::int64_t i = 0; i < rows.kept; ++i) indices[i * rows.stride(rows.indices)] = order[i];
    with_bits(static_cast<std::size_t>(item), [&](auto bits) {
      using T = decltype(bits);
      auto* values = reinterpret_cast<T*>(rows.values.at(bindings)) + o[1];
      for (std::int64_t i = 0; i < rows.kept; ++i) values[i * rows.stride(rows.values)] = reinterpret_cast<const T*>(row)[order[i] * rows.stride(rows.x)];
    });
  });
}

StepPtr rows_step(const StepSpec& spec, Rows rows) {
  check_counts(spec, 1, 2, 2);
  rows.x = spec.inputs[0];
  rows.values = spec.outputs[0];
  rows.indices = spec.outputs[1];
  check(rows.x.dtype == rows.values.dtype && rows.indices.dtype == DType::i64 && same_shape(rows.values, rows.indices) && rows.x.rank == rows.values.rank, spec,
        "operands disagree");
  if (rows.x.rank > 0) {
    rows.axis = axis_of(spec, spec.attrs->integer("axis"), rows.x.rank);
    rows.length = rows.x.sizes[static_cast<std::size_t>(rows.axis)];
    rows.kept = rows.values.sizes[static_cast<std::size_t>(rows.axis)];
    for (int d = 0; d < rows.x.rank; ++d) {
      check(d == rows.axis || rows.x.sizes[static_cast<std::size_t>(d)] == rows.values.sizes[static_cast<std::size_t>(d)], spec, "sizes differ");
    }
  } else {
    rows.axis = -1;
  }
  check(rows.kept <= rows.length, spec, "more elements are asked for than there are");
  const auto scratch = 2 * aligned(static_cast<std::size_t>(rows.length) * sizeof(std::int64_t));
  switch (key_dtype(rows.x.dtype)) {
    case DType::f32:
      return make_step(scratch, [rows](void* const* b, std::byte* s) { order_rows<float>(rows, b, s); });
    case DType::f64:
      return make_step(scratch, [rows](void* const* b, std::byte* s) { order_rows<double>(rows, b, s); });
    case DType::u64:
      return make_step(scratch, [rows](void* const* b, std::byte* s) { order_rows<std::uint64_t>(rows, b, s); });
    default:
      return make_step(scratch, [rows](void* const* b, std::byte* s) { order_rows<std::int64_t>(rows, b, s); });
  }
}

// For every value the first place where it may stand among the sorted ones.
template <class K>
struct Search {
  OperandRef sorted, values, y;
  bool right = false;

  void run(void* const* bindings, std::byte* scratch) const {
    const auto last = static_cast<std::size_t>(values.rank == 0 ? 0 : values.rank - 1);
    const auto n = sorted.sizes[static_cast<std::size_t>(sorted.rank - 1)], m = values.rank == 0 ? 1 : values.sizes[last];
    auto* keys = reinterpret_cast<K*>(scratch);
    auto* wanted = reinterpret_cast<K*>(scratch + aligned(static_cast<std::size_t>(n) * sizeof(K)));
    const auto read_sorted = read_run(sorted.dtype, key_dtype(sorted.dtype)), read_values = read_run(values.dtype, key_dtype(values.dtype));
    const auto write = write_run(y.dtype, DType::i64);
    const int axis = values.rank - 1;
    const Others of_values(values, axis), of_y(y, axis);
    Others of_sorted(sorted, sorted.rank - 1);
    if (of_sorted.rank != of_values.rank) of_sorted.strides.fill(0);  // one row for all
    walk<3>(of_values.shape(), {of_sorted.strides.data(), of_values.strides.data(), of_y.strides.data()}, [&](const auto& o) {
      read_sorted(keys, sorted.at(bindings) + o[0] * static_cast<std::int64_t>(item_size(sorted.dtype)),
                  sorted.strides[static_cast<std::size_t>(sorted.rank - 1)], n);
      read_values(wanted, values.at(bindings) + o[1] * static_cast<std::int64_t>(item_size(values.dtype)), values.rank == 0 ? 0 : values.strides[last], m);
      for (std::int64_t i = 0; i < m; ++i) {
        const auto* found = right ? std::upper_bound(keys, keys + n, wanted[i], less<K>) : std::lower_bound(keys, keys + n, wanted[i], less<K>);
        const std::int64_t place = found - keys;
        write(y.at(bindings) + (o[2] + i * (y.rank == 0 ? 0 : y.strides[last])) * static_cast<std::int64_t>(item_size(y.dtype)), 0, &place, 1);
      }
    });
  }
};

template <class K>
StepPtr search_step(const StepSpec& spec) {
  const Search<K> search{spec.inputs[0], spec.inputs[1], spec.outputs[0], spec.attrs->flag("right")};
  const auto n = search.sorted.sizes[static_cast<std::size_t>(search.sorted.rank - 1)];
  const auto m = search.values.rank == 0 ? 1 : search.values.sizes[static_cast<std::size_t>(search.values.rank - 1)];
  return make_step(aligned(static_cast<std::size_t>(n) * sizeof(K)) + aligned(static_cast<std::size_t>(m) * sizeof(K)) + 64,
                   [search](void* const* bindings, std::byte* scratch) { search.run(bindings, scratch); });
}

}  // namespace

StepPtr make_sort(const StepSpec& spec) { return rows_step(spec, {.x = {}, .values = {}, .indices = {}, .descending = spec.attrs->flag("descending")}); }

StepPtr make_topk(const StepSpec& spec) {
  return rows_step(spec, {.x = {}, .values = {}, .indices = {}, .descending = spec.attrs->flag("largest"), .partial = true});
}

StepPtr make_search_sorted(const StepSpec& spec) {
  check_counts(spec, 2, 1, 1);
  const auto &sorted = spec.inputs[0], &values = spec.inputs[1];
  check(sorted.rank >= 1 && (sorted.rank == 1 || sorted.rank == values.rank) && same_shape(values, spec.outputs[0]), spec,
        "operands disagree in rank or sizes");
  check(key_dtype(sorted.dtype) == key_dtype(values.dtype), spec, "dtypes cannot be compared");
  check(spec.outputs[0].dtype == DType::i64 || spec.outputs[0].dtype == DType::i32, spec, "places must be i64 or i32");
  for (int d = 0; d + 1 < sorted.rank; ++d) check(sorted.sizes[static_cast<std::size_t>(d)] == values.sizes[static_cast<std::size_t>(d)], spec, "sizes differ");
  switch (key_dtype(sorted.dtype)) {
    case DType::f32:
      return search_step<float>(spec);
    case DType::f64:
      return search_step<double>(spec);
    case DType::u64:
      return search_step<std::uint64_t>(spec);
    default:
      return search_step<std::int64_t>(spec);
  }
}

}  // namespace reprise::kernels::reference
