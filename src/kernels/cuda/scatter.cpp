// scatter and index_put: writing where indices point. Where several positions have one target the outcome is that of taking them in order: the last one stays,
// or they are combined one after the other.
#include <memory>

#include "kernels/cuda/factories.h"
#include "kernels/cuda/indexing.h"
#include "kernels/cuda/row_sort.h"

namespace reprise::kernels::cuda {
namespace {

constexpr std::int64_t kFewPositions = 32;

using Describe = std::function<void(Operations&, int slot)>;
struct Work {
  std::size_t scratch_bytes = 0;
  Describe describe;
};

Arguments blocks(const Indexing& ix) {
  Arguments arguments;
  arguments.out(ix.table).in(ix.list);
  return arguments;
}

Work write_blocks(Gpu& gpu, const std::string& name, const Indexing& indexing) {
  const std::int64_t width = indexing.pack_width(), item = static_cast<std::int64_t>(item_size(indexing.table.dtype));
  const Indexing ix = indexing.widened(width);
  const std::string bits = bits_type(item * width);
  if (ix.count() <= kFewPositions) {
    TextKernel kernel = request(gpu, "indexing.cuh", fmt::format("write_few_blocks<{}, {}>", bits, ix.types()));
    return {0, [=](Operations& ops, int) {
              Arguments arguments = blocks(ix);
              ix.put(arguments, ops, name);
              launch_each(ops, kernel, ix.count() * ix.block(), arguments);
            }};
  }
  Scratch scratch;
  const auto last = scratch.take(ix.targets * (ix.wide ? 8 : 4));
  const char* count_type = ix.wide ? "u64_t" : "u32_t";
  TextKernel find = request(gpu, "indexing.cuh", fmt::format("find_last<{}, {}>", count_type, ix.types()));
  TextKernel write = request(gpu, "indexing.cuh", fmt::format("write_last_blocks<{}, {}, {}>", bits, count_type, ix.types()));
  return {scratch.bytes(), [=](Operations& ops, int slot) {
            fill_scratch(ops, last, slot, 0);
            Arguments finding, writing = blocks(ix);
            put_scratch(finding, last, slot, true);
            ix.put(finding, ops, name);
            launch_each(ops, find, ix.count(), finding);
            put_scratch(writing, last, slot, false);
            ix.put(writing, ops, name);
            launch_each(ops, write, ix.count() * ix.block(), writing);
          }};
}

/// `reduce`: the text's name.
Work combine_blocks(Gpu& gpu, const std::string& name, const Indexing& ix, const char* reduce, bool include_self) {
  const SortElement element = SortElement::keyed(ix.wide, ix.wide);
  Scratch scratch;
  const auto numbers = scratch.take(ix.count() * element.key_bytes);
  const SortBuffer ordered = SortBuffer::take(scratch, element, ix.count());
  const RowSort sort(gpu, scratch,
                     {.element = element,
                      .source = keys_source(element, numbers, ix.count()),
                      .sink = sorted_sink(element, ordered, ix.count()),
                      .less = by_key(),
                      .length = ix.count(),
                      .kept = ix.count(),
                      .last_bit = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(ix.targets)))});
  TextKernel number = request(gpu, "segments.cuh", fmt::format("number_targets<{}, {}>", element.key_type(), ix.types()));
  TextKernel combine =
      request(gpu, "segments.cuh",
              fmt::format("combine_blocks<{}, {}, {}, {}, {}>", reduce, type_name(ix.table.dtype), element.key_type(), element.position_type(), ix.types()));
  return {scratch.bytes(), [=](Operations& ops, int slot) {
            Arguments numbering, combining = blocks(ix);
            put_scratch(numbering, numbers, slot, true);
            ix.put(numbering, ops, name);
            launch_each(ops, number, ix.count(), numbering);
            sort.describe(ops, slot);
            put_scratch(combining, ordered.keys, slot, false);
            put_scratch(combining, ordered.positions, slot, false);
            ix.put(combining, ops, name);
            launch_each(ops, combine, ix.count() * ix.block(), combining.value(int{include_self}));
          }};
}

/// The base first, unless it stands there already.
StepPtr step_on_base(Gpu& gpu, const StepSpec& spec, Work work) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  std::shared_ptr<device::Step> base;
  if (!same_memory(x, y)) {
    StepSpec copy = spec;
    copy.op = core::Op::copy;
    copy.inputs = spec.inputs.first(1);
    base = make_copy(gpu, copy);
  }
  return make_step(work.scratch_bytes, [base, describe = std::move(work.describe)](Operations& ops, int slot) {
    if (base) static_cast<const device::cuda::CudaStep&>(*base).describe(ops);
    if (describe) describe(ops, slot);
  });
}

const char* reduce_of(const StepSpec& spec) {
  const auto& text = spec.attrs->text("reduce");
  constexpr std::pair<const char*, const char*> kNames[] = {{"none", nullptr}, {"sum", "kSum"}, {"prod", "kProd"},
                                                            {"mean", "kMean"}, {"max", "kMax"}, {"min", "kMin"}};
  for (const auto& [name, reduce] : kNames) {
    if (text == name) return reduce;
  }
  check(false, spec, "unknown reduction");
  return nullptr;
}

void check_base(const StepSpec& spec) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  check(same_shape(x, y) && x.dtype == y.dtype, spec, "the result has not the base's sizes and dtype");
}

}  // namespace

StepPtr make_scatter(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 3, 1, 1);
  check_base(spec);
  check(spec.outputs[0].is_contiguous(), spec, "the result must be row-major");
  const Indexing ix = index_elements(spec, spec.outputs[0], spec.inputs[1], spec.inputs[2]);
  const char* reduce = reduce_of(spec);
  if (ix.list.numel() == 0) return step_on_base(gpu, spec, {});
  return step_on_base(
      gpu, spec, reduce == nullptr ? write_blocks(gpu, spec.name, ix) : combine_blocks(gpu, spec.name, ix, reduce, spec.attrs->flag("include_self", true)));
}

StepPtr make_index_put(Gpu& gpu, const StepSpec& spec) {
  check(spec.inputs.size() >= 3 && spec.outputs.size() == 1, spec, "wrong number of operands");
  check_base(spec);
  const Indexing ix = index_blocks(spec, spec.outputs[0], spec.inputs[1], spec.inputs.subspan(2));
  if (ix.list.numel() == 0) return step_on_base(gpu, spec, {});
  return step_on_base(gpu, spec, spec.attrs->flag("accumulate") ? combine_blocks(gpu, spec.name, ix, "kSum", true) : write_blocks(gpu, spec.name, ix));
}

}  // namespace reprise::kernels::cuda
