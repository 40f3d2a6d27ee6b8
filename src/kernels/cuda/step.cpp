#include "kernels/cuda/step.h"

#include <algorithm>

namespace reprise::kernels::cuda {

Access access(const OperandRef& operand, bool write) {
  const auto item = static_cast<std::int64_t>(item_size(operand.dtype));
  std::int64_t low = operand.offset, high = operand.offset + 1;
  for (int d = 0; d < operand.rank; ++d) {
    const auto i = static_cast<std::size_t>(d);
    if (operand.sizes[i] == 0) return {operand.slot, 0, 0, write};
    (operand.strides[i] < 0 ? low : high) += (operand.sizes[i] - 1) * operand.strides[i];
  }
  return {operand.slot, low * item, high * item, write};
}

Place place(const OperandRef& operand) { return {operand.slot, operand.offset * static_cast<std::int64_t>(item_size(operand.dtype))}; }

std::byte* Arguments::room(std::size_t bytes, std::size_t alignment) {
  const std::size_t at = (bytes_.size() + alignment - 1) / alignment * alignment;
  bytes_.resize(at + bytes);
  return bytes_.data() + at;
}

Arguments& Arguments::pointer(Place at, Access access) {
  room(sizeof(CUdeviceptr), alignof(CUdeviceptr));
  patches_.push_back({.at = static_cast<std::uint32_t>(bytes_.size() - sizeof(CUdeviceptr)), .place = at});
  accesses_.push_back(access);
  return *this;
}

Arguments& Arguments::also(Access access) {
  accesses_.push_back(access);
  return *this;
}

Arguments& Arguments::append(const Arguments& other) {
  const std::size_t begin = (bytes_.size() + 7) / 8 * 8;
  bytes_.resize(begin);
  bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
  for (auto patch : other.patches_) {
    patch.at += static_cast<std::uint32_t>(begin);
    patches_.push_back(patch);
  }
  accesses_.insert(accesses_.end(), other.accesses_.begin(), other.accesses_.end());
  return *this;
}

void launch(Operations& operations, const Kernel& kernel, const LaunchShape& shape, Arguments arguments) {
  device::cuda::KernelLaunch work;
  work.function = kernel.get();
  work.grid = shape.grid;
  work.block = shape.block;
  work.cluster = shape.cluster;
  work.shared_bytes = shape.shared_bytes;
  work.programmatic = shape.programmatic;
  work.parameters = std::move(arguments.bytes_);
  work.patches = std::move(arguments.patches_);
  operations.add(std::move(work), std::move(arguments.accesses_));
}

unsigned blocks_for(std::int64_t items, unsigned threads) {
  constexpr std::int64_t kMostBlocks = (std::int64_t{1} << 31) - 1;
  const std::int64_t blocks = std::max<std::int64_t>(1, (items + threads - 1) / threads);
  REPRISE_CHECK(blocks <= kMostBlocks, ShapeError, "[kernels/launch] too many elements for one launch (got {})", items);
  return static_cast<unsigned>(blocks);
}

StepPtr make_empty_step() {
  return make_step(0, [](Operations&, int) {});
}

std::string type_name(DType dtype) { return dtype == DType::boolean ? "bool" : std::string(name(dtype)) + "_t"; }

void check_counts(const StepSpec& spec, std::size_t inputs, std::size_t min_outputs, std::size_t max_outputs) {
  REPRISE_CHECK(spec.inputs.size() == inputs && spec.outputs.size() >= min_outputs && spec.outputs.size() <= max_outputs, InvalidArgument,
                "[kernels/{}] {}: wrong number of operands (got {} inputs and {} outputs, want {} and {} to {})", spec.name, core::name(spec.op),
                spec.inputs.size(), spec.outputs.size(), inputs, min_outputs, max_outputs);
}

bool same_shape(const OperandRef& a, const OperandRef& b) { return a.rank == b.rank && std::equal(a.shape().begin(), a.shape().end(), b.shape().begin()); }

int axis_of(const StepSpec& spec, std::int64_t axis, int rank) {
  if (axis < 0) axis += rank;
  check(axis >= 0 && axis < rank, spec, "axis is out of range");
  return static_cast<int>(axis);
}

}  // namespace reprise::kernels::cuda
