#include "kernels/cuda/factories.h"
#include "kernels/cuda/select.h"

namespace reprise::kernels::cuda {
namespace {

struct Unique {
  OperandRef x, values, inverse, counts, count;
  std::vector<int> slice_dims, inner_dims;  // flat: all and none
  std::int64_t slices = 0, width = 1, inner = 1;
  bool flat = true, consecutive = false;
};

Unique read(const StepSpec& spec) {
  check_counts(spec, 1, 4, 4);
  Unique u{.x = spec.inputs[0],
           .values = spec.outputs[0],
           .inverse = spec.outputs[1],
           .counts = spec.outputs[2],
           .count = spec.outputs[3],
           .slice_dims = {},
           .inner_dims = {}};
  const auto axis = spec.attrs->integer("axis");
  u.flat = axis < 0;
  u.consecutive = spec.attrs->flag("consecutive");
  u.slice_dims = u.flat ? all_dims(u.x.rank) : std::vector<int>{axis_of(spec, axis, u.x.rank)};
  u.inner_dims = other_dims(u.x.rank, u.slice_dims);
  u.slices = count_along(u.x, u.slice_dims);
  u.width = u.slices == 0 ? 0 : count_along(u.x, u.inner_dims);
  for (int d = static_cast<int>(axis) + 1; !u.flat && d < u.x.rank; ++d) u.inner *= u.x.sizes[static_cast<std::size_t>(d)];
  check(u.values.dtype == u.x.dtype && u.inverse.dtype == DType::i64 && u.counts.dtype == DType::i64 && u.count.dtype == DType::i64, spec, "dtypes disagree");
  check(u.values.numel() >= u.x.numel() && u.inverse.numel() >= u.slices && u.counts.numel() >= u.slices, spec, "the results cannot hold every element");
  return u;
}

}  // namespace

StepPtr make_unique(Gpu& gpu, const StepSpec& spec) {
  const Unique u = read(spec);
  const bool wide = needs_wide({&u.x});
  const std::string type = type_name(u.x.dtype), index = index_type(wide), slices_type = fmt::format("Slices<{}, {}>", type, index);
  const auto put_slices = [u, wide](Arguments& a) {
    a.in(u.x).value(u.width);
    Dims({&u.x}, u.slice_dims).put(a, wide);
    Dims({&u.x}, u.inner_dims).put(a, wide);
  };
  // Elements have keys; slices are compared as they lie.
  const SortElement element =
      u.flat ? SortElement::keyed(has_wide_keys(u.x.dtype), u.slices > std::numeric_limits<std::uint32_t>::max()) : SortElement::slices();
  Scratch scratch;
  const SortBuffer ordered = SortBuffer::take(scratch, element, u.consecutive ? 0 : u.slices);
  const auto starts = scratch.take(u.slices * 8);
  const bool sorts = !u.consecutive && u.slices > 0;
  std::vector<RowSort> sort;
  if (sorts) {
    SortJob job{.text = "unique.cuh",
                .element = element,
                .source = {"AllSlices", [](Arguments& a, int) { a.value(std::uint64_t{0}); }},
                .sink = sorted_sink(element, ordered, u.slices),
                .less = {fmt::format("BySlices<{}, {}>", type, index), [put_slices](Arguments& a, int) { put_slices(a); }},
                .length = u.slices,
                .kept = u.slices};
    if (u.flat) {
      job.source = values_source(element, u.x, {}, u.slice_dims, false);
      job.less = by_key();
      job.first_bit = first_key_bit(u.x.dtype);
    }
    sort.emplace_back(gpu, scratch, job);
  }
  const auto put_order = [=](Arguments& a, int slot) {
    if (sorts)
      put_scratch(a, ordered.positions, slot, false);
    else
      a.fixed(nullptr);
  };
  const char* position = element.position_type();
  const TextObject flag{fmt::format("BeginsGroup<{}, {}, {}>", type, position, index), [=](Arguments& a, int slot) {
                          put_slices(a);
                          put_order(a, slot);
                        }};
  const TextObject sink{fmt::format("PutGroups<{}>", position), [=](Arguments& a, int slot) {
                          put_order(a, slot);
                          put_scratch(a.out(u.inverse), starts, slot, true);
                        }};
  const Selection groups(gpu, scratch, "unique.cuh", flag, sink, u.slices);
  TextKernel put = request(gpu, "unique.cuh", fmt::format("put_unique<{}, {}, {}>", type, position, index));
  return make_step(scratch.bytes(), [=](Operations& ops, int slot) {
    for (const RowSort& each : sort) each.describe(ops, slot);
    groups.describe(ops, slot, [&](Arguments& a, int) { a.out(u.count); });
    Arguments a;
    put_slices(a);
    put_order(a, slot);
    put_scratch(a, starts, slot, false).in(u.count).value(u.slices).value(std::max<std::int64_t>(u.inner, 1)).out(u.values).out(u.counts);
    launch_each(ops, put, u.slices * std::max<std::int64_t>(u.width, 1), a);
  });
}

}  // namespace reprise::kernels::cuda
