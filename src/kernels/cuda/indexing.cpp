#include "kernels/cuda/indexing.h"

#include <algorithm>

namespace reprise::kernels::cuda {
namespace {

constexpr std::uint64_t kZeroIndex = std::uint64_t{1} << 63;  // as text/indexing.cuh has it

void check_indices(const StepSpec& spec, const OperandRef& table, const OperandRef& list, std::span<const OperandRef> indices) {
  check(!indices.empty() && table.dtype == list.dtype, spec, "dtypes differ");
  for (const OperandRef& index : indices) {
    check(index.dtype == DType::i64 || index.dtype == DType::i32, spec, "indices must be integers");
    check(same_shape(index, indices[0]), spec, "indices disagree");
  }
}

bool any_wide(const Indexing& ix) {
  bool wide = needs_wide({&ix.table, &ix.list}) || ix.count() * ix.block() > (std::int64_t{1} << 31) - 4096;
  for (const OperandRef& index : ix.indices) wide = wide || needs_wide({&index});
  return wide || ix.targets >= (std::int64_t{1} << 31);
}

/// A dimension of the positions, `strides` being those of list, table, number and the indices.
void add_position(Indexing& ix, std::int64_t size, std::int64_t list, std::int64_t table, std::int64_t number, std::size_t index_dim) {
  std::vector<std::int64_t> strides{list, table, number};
  for (const OperandRef& index : ix.indices) strides.push_back(index.strides[index_dim]);
  ix.positions.add(size, strides);
}

}  // namespace

std::int64_t Indexing::pack_width() const {
  const int last = kept.rank() - 1;
  if (last < 0 || kept.stride(last, 0) != 1 || kept.stride(last, 1) != 1) return 1;
  std::int64_t width = 16 / static_cast<std::int64_t>(item_size(table.dtype));
  const auto divide = [&](std::int64_t value) {
    while (value % width != 0) width /= 2;
  };
  divide(kept.size(last));
  divide(table.offset);
  divide(list.offset);
  for (const std::int64_t stride : strides) divide(stride);
  for (std::size_t k = 0; k < 2; ++k) {
    for (int d = 0; d < last; ++d) divide(kept.stride(d, k));
    for (int d = 0; d < positions.rank(); ++d) divide(positions.stride(d, k));
  }
  return width;
}

Indexing Indexing::widened(std::int64_t width) const {
  Indexing result = *this;
  if (width == 1) return result;
  result.kept.widen(width);
  result.positions.divide_strides(width, 2);
  for (std::int64_t& stride : result.strides) stride /= width;
  return result;
}

std::string Indexing::types() const { return fmt::format("{}, {}", index_type(wide), indices.size()); }

void Indexing::put(Arguments& arguments, Operations& operations, const std::string& name) const {
  std::uint32_t are_wide = 0;
  for (std::size_t j = 0; j < indices.size(); ++j) {
    arguments.in(indices[j]);
    if (indices[j].dtype == DType::i64) are_wide |= 1u << j;
  }
  for (const std::int64_t size : sizes) {
    arguments.fixed(operations.fault([name, size](std::uint64_t word) {
      REPRISE_FAIL(ShapeError, "[run/{}] index {} is out of range for a dimension of size {}", name, word == kZeroIndex ? 0 : static_cast<std::int64_t>(word),
                   size);
    }));
  }
  for (const auto* list_of : {&sizes, &strides, &radix}) {
    for (const std::int64_t value : *list_of) arguments.value(value);
  }
  arguments.value(count()).value(are_wide).value(std::uint32_t{wraps});
  positions.put(arguments, wide);
  kept.put(arguments, wide);
  arguments.value(block());
  put_divider(arguments, std::max<std::int64_t>(block(), 1), wide);
  if (!wide) arguments.value(std::uint32_t{0});  // the struct ends at a multiple of 8 bytes
}

Indexing index_elements(const StepSpec& spec, const OperandRef& table, const OperandRef& index, const OperandRef& list) {
  check_indices(spec, table, list, {&index, 1});
  check(table.rank == index.rank && same_shape(index, list), spec, "operands disagree in rank or sizes");
  Indexing ix{.table = table, .list = list, .indices = {index}, .sizes = {1}, .strides = {1}, .radix = {1}, .positions = Dims(4)};
  if (table.rank == 0) return ix;
  const int axis = axis_of(spec, spec.attrs->integer("axis"), table.rank);
  // Where the index does not depend on a dimension, whole blocks have one target.
  const auto is_kept = [&](std::size_t d) { return static_cast<int>(d) != axis && index.strides[d] == 0 && index.sizes[d] > 1; };
  std::array<std::int64_t, kMaxRank> radix{};
  for (int d = table.rank - 1; d >= 0; --d) {
    const auto i = static_cast<std::size_t>(d);
    check(d == axis || index.sizes[i] <= table.sizes[i], spec, "the index is larger than what it points into");
    radix[i] = ix.targets;
    if (!is_kept(i)) ix.targets *= table.sizes[i];
  }
  const auto along = static_cast<std::size_t>(axis);
  ix.sizes = {table.sizes[along]};
  ix.strides = {table.strides[along]};
  ix.radix = {radix[along]};
  for (std::size_t d = 0; d < static_cast<std::size_t>(table.rank); ++d) {
    if (is_kept(d))
      ix.kept.add(index.sizes[d], {list.strides[d], table.strides[d]});
    else
      add_position(ix, index.sizes[d], list.strides[d], d == along ? 0 : table.strides[d], d == along ? 0 : radix[d], d);
  }
  ix.wide = any_wide(ix);
  return ix;
}

Indexing index_blocks(const StepSpec& spec, const OperandRef& table, const OperandRef& list, std::span<const OperandRef> indices) {
  check_indices(spec, table, list, indices);
  const auto axes = spec.attrs->ints("axes");
  const auto position = spec.attrs->integer("position");
  check(axes.size() == indices.size(), spec, "wrong number of indices");
  Indexing ix{.table = table,
              .list = list,
              .indices = {indices.begin(), indices.end()},
              .sizes = {},
              .strides = {},
              .radix = {},
              .wraps = true,
              .positions = Dims(3 + indices.size())};
  std::vector<int> indexed;
  for (const std::int64_t a : axes) {
    const int axis = axis_of(spec, a, table.rank);
    check(std::find(indexed.begin(), indexed.end(), axis) == indexed.end(), spec, "indices disagree");
    indexed.push_back(axis);
    ix.sizes.push_back(table.sizes[static_cast<std::size_t>(axis)]);
    ix.strides.push_back(table.strides[static_cast<std::size_t>(axis)]);
    ix.radix.push_back(ix.targets);
    ix.targets *= ix.sizes.back();
  }
  const std::vector<int> kept = other_dims(table.rank, indexed);
  check(list.rank == static_cast<int>(kept.size()) + indices[0].rank && position >= 0 && position <= static_cast<std::int64_t>(kept.size()), spec,
        "ranks disagree");
  std::size_t next = 0;
  for (std::size_t d = 0; d < static_cast<std::size_t>(list.rank); ++d) {
    const auto in_index = static_cast<std::int64_t>(d) - position;
    if (in_index >= 0 && in_index < indices[0].rank) {
      check(list.sizes[d] == indices[0].sizes[static_cast<std::size_t>(in_index)], spec, "sizes of index and list differ");
      add_position(ix, list.sizes[d], list.strides[d], 0, 0, static_cast<std::size_t>(in_index));
      continue;
    }
    const auto t = static_cast<std::size_t>(kept[next++]);
    check(list.sizes[d] == table.sizes[t], spec, "kept sizes differ");
    ix.kept.add(list.sizes[d], {list.strides[d], table.strides[t]});
  }
  ix.wide = any_wide(ix);
  return ix;
}

}  // namespace reprise::kernels::cuda
