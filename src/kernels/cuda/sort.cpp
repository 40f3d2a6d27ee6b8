// sort, topk, search_sorted.
#include "kernels/cuda/dims.h"
#include "kernels/cuda/factories.h"
#include "kernels/cuda/row_sort.h"

namespace reprise::kernels::cuda {
namespace {

/// The results, as bits: values and positions.
TextObject tensors_sink(const SortElement& element, const OperandRef& x, const OperandRef& values, const OperandRef& indices, std::span<const int> around,
                        std::span<const int> axis) {
  const bool wide = needs_wide({&x, &values, &indices});
  // Sizes along the other dimensions are the same.
  const Dims rows({&x, &values, &indices}, around);
  return {fmt::format("ToTensors<{}, {}, {}>", bits_type(static_cast<std::int64_t>(item_size(x.dtype))), element.type, index_type(wide)),
          [=, axis = std::vector<int>(axis.begin(), axis.end())](Arguments& a, int) {
            a.in(x).out(values).out(indices);
            for (const OperandRef* o : {&x, &values, &indices}) a.value(axis.empty() ? std::int64_t{0} : o->strides[static_cast<std::size_t>(axis[0])]);
            rows.put(a, wide);
          }};
}

StepPtr rows_step(Gpu& gpu, const StepSpec& spec, bool descending) {
  check_counts(spec, 1, 2, 2);
  const OperandRef &x = spec.inputs[0], &values = spec.outputs[0], &indices = spec.outputs[1];
  check(x.dtype == values.dtype && indices.dtype == DType::i64 && same_shape(values, indices) && x.rank == values.rank, spec, "operands disagree");
  std::vector<int> axis;
  if (x.rank > 0) axis = {axis_of(spec, spec.attrs->integer("axis"), x.rank)};
  const std::vector<int> around = other_dims(x.rank, axis);
  for (const int d : around) check(x.sizes[static_cast<std::size_t>(d)] == values.sizes[static_cast<std::size_t>(d)], spec, "sizes differ");
  const std::int64_t length = count_along(x, axis), kept = count_along(values, axis);
  check(kept <= length, spec, "more elements are asked for than there are");
  if (values.numel() == 0) return make_empty_step();
  const SortElement element = SortElement::keyed(has_wide_keys(x.dtype), length > std::numeric_limits<std::uint32_t>::max());
  Scratch scratch;
  const RowSort sort(gpu, scratch,
                     {.element = element,
                      .source = values_source(element, x, around, axis, descending),
                      .sink = tensors_sink(element, x, values, indices, around, axis),
                      .less = by_key(),
                      .rows = count_along(x, around),
                      .length = length,
                      .kept = kept,
                      .first_bit = first_key_bit(x.dtype)});
  return make_step(scratch.bytes(), [sort](Operations& ops, int slot) { sort.describe(ops, slot); });
}

/// What values of a dtype are compared in.
DType comparable(DType t) {
  if (t == DType::f16 || t == DType::bf16 || t == DType::f32) return DType::f32;
  return t == DType::f64 || t == DType::u64 ? t : DType::i64;
}

}  // namespace

StepPtr make_sort(Gpu& gpu, const StepSpec& spec) { return rows_step(gpu, spec, spec.attrs->flag("descending")); }
StepPtr make_topk(Gpu& gpu, const StepSpec& spec) { return rows_step(gpu, spec, spec.attrs->flag("largest")); }

StepPtr make_search_sorted(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 2, 1, 1);
  const OperandRef &sorted = spec.inputs[0], &values = spec.inputs[1], &y = spec.outputs[0];
  check(sorted.rank >= 1 && (sorted.rank == 1 || sorted.rank == values.rank) && same_shape(values, y), spec, "operands disagree in rank or sizes");
  check(comparable(sorted.dtype) == comparable(values.dtype), spec, "dtypes cannot be compared");
  check(y.dtype == DType::i64 || y.dtype == DType::i32, spec, "places must be i64 or i32");
  const auto last = static_cast<std::size_t>(sorted.rank - 1);
  OperandRef rows = values;  // where a value's row of sorted ones begins
  rows.strides.fill(0);
  for (std::size_t d = 0; d < last; ++d) {
    check(sorted.sizes[d] == values.sizes[d], spec, "sizes differ");
    rows.strides[d] = sorted.strides[d];
  }
  if (y.numel() == 0) return make_empty_step();
  const bool wide = needs_wide({&sorted, &values, &y});
  Arguments arguments;
  arguments.in(sorted).in(values).out(y).value(y.numel()).value(sorted.sizes[last]).value(sorted.strides[last]);
  Dims({&rows, &values, &y}, all_dims(y.rank)).put(arguments, wide);
  TextKernel kernel = request(gpu, "search.cuh",
                              fmt::format("search_sorted<{}, {}, {}, {}, {}>", type_name(sorted.dtype), type_name(values.dtype), type_name(y.dtype),
                                          spec.attrs->flag("right"), index_type(wide)));
  return make_step(0, [=, count = y.numel()](Operations& ops, int) { launch_each(ops, kernel, count, arguments); });
}

}  // namespace reprise::kernels::cuda
