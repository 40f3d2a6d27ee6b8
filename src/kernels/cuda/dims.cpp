#include "kernels/cuda/dims.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace reprise::kernels::cuda {
namespace {

// Below 2^31 by what the threads of the last block count beyond.
constexpr std::int64_t kNarrowLimit = (std::int64_t{1} << 31) - 4096;
constexpr unsigned kThreads = 256;

}  // namespace

Dims::Dims(OperandList operands, std::span<const int> which) : operands_(operands.size()) {
  for (const int d : which) {
    std::int64_t size = 1;
    std::vector<std::int64_t> strides;
    for (const OperandRef* operand : operands) {
      if (operand != nullptr) size = operand->sizes[static_cast<std::size_t>(d)];
      strides.push_back(operand == nullptr ? 0 : operand->strides[static_cast<std::size_t>(d)]);
    }
    add(size, strides);
  }
}

void Dims::add(std::int64_t size, std::span<const std::int64_t> strides, bool merge) {
  if (merge && size == 1) return;
  if (merge && !sizes_.empty()) {
    auto& outer = strides_.back();
    const bool continues = std::equal(strides.begin(), strides.end(), outer.begin(), [&](std::int64_t in, std::int64_t out) { return out == in * size; });
    if (continues) {
      sizes_.back() *= size;
      std::copy(strides.begin(), strides.end(), outer.begin());
      return;
    }
  }
  sizes_.push_back(size);
  std::copy(strides.begin(), strides.end(), strides_.emplace_back().begin());
}

void Dims::widen(std::int64_t width) {
  sizes_.back() /= width;
  const auto innermost = strides_.back();
  divide_strides(width, operands_);
  strides_.back() = innermost;
}

void Dims::divide_strides(std::int64_t width, std::size_t operands) {
  for (auto& strides : strides_) {
    for (std::size_t k = 0; k < operands; ++k) strides[k] /= width;
  }
}

std::int64_t Dims::numel() const { return std::accumulate(sizes_.begin(), sizes_.end(), std::int64_t{1}, std::multiplies<>()); }

void Dims::put(Arguments& arguments, bool wide) const {
  arguments.value(static_cast<std::int64_t>(sizes_.size()));
  for (std::size_t d = 0; d < kMaxRank; ++d) put_divider(arguments, d < sizes_.size() ? std::max<std::int64_t>(sizes_[d], 1) : 1, wide);
  for (std::size_t k = 0; k < operands_; ++k) {
    for (std::size_t d = 0; d < kMaxRank; ++d) put_index(arguments, d < sizes_.size() ? strides_[d][k] : 0, wide);
  }
}

void put_divider(Arguments& arguments, std::int64_t divisor, bool wide) {
  if (wide) {
    arguments.value(divisor);
    return;
  }
  // The least shift with 2^shift >= divisor; then 2^32 + magic is 2^(32 + shift) / divisor, rounded up.
  const auto d = static_cast<std::uint32_t>(divisor);
  const auto shift = static_cast<std::uint32_t>(std::bit_width(d - 1));
  const std::uint64_t magic = ((std::uint64_t{1} << 32) * ((std::uint64_t{1} << shift) - d)) / d + 1;
  arguments.value(d).value(static_cast<std::uint32_t>(magic)).value(shift);
}

void put_index(Arguments& arguments, std::int64_t value, bool wide) {
  if (wide)
    arguments.value(value);
  else
    arguments.value(static_cast<std::int32_t>(value));
}

bool needs_wide(OperandList operands) {
  for (const OperandRef* operand : operands) {
    if (operand == nullptr) continue;
    std::int64_t reach = 1;
    for (std::size_t d = 0; d < static_cast<std::size_t>(operand->rank); ++d)
      reach += std::max<std::int64_t>(operand->sizes[d] - 1, 0) * std::abs(operand->strides[d]);
    if (reach > kNarrowLimit || operand->numel() > kNarrowLimit) return true;
  }
  return false;
}

std::vector<int> by_stride(const OperandRef& operand, std::vector<int> which) {
  const auto stride = [&](int d) { return std::abs(operand.strides[static_cast<std::size_t>(d)]); };
  std::stable_sort(which.begin(), which.end(), [&](int a, int b) { return stride(a) > stride(b); });
  return which;
}

std::vector<int> all_dims(int rank) {
  std::vector<int> dims(static_cast<std::size_t>(rank));
  std::iota(dims.begin(), dims.end(), 0);
  return dims;
}

std::vector<int> other_dims(int rank, std::span<const int> except) {
  std::vector<int> dims = all_dims(rank);
  std::erase_if(dims, [&](int d) { return std::find(except.begin(), except.end(), d) != except.end(); });
  return dims;
}

std::int64_t count_along(const OperandRef& operand, std::span<const int> which) {
  std::int64_t count = 1;
  for (const int d : which) count *= operand.sizes[static_cast<std::size_t>(d)];
  return count;
}

int pack_width(OperandList operands, std::span<const int> line) {
  std::int64_t width = 16;
  const auto divide = [&width](std::int64_t value) {
    while (value % width != 0) width /= 2;
  };
  for (const OperandRef* operand : operands) {
    if (operand == nullptr) continue;
    const Dims dims({operand}, line);
    if (dims.rank() > 1 || (dims.rank() == 1 && dims.stride(0, 0) != 1)) return 1;
    width = std::min(width, 16 / static_cast<std::int64_t>(item_size(operand->dtype)));
    divide(dims.numel());
    divide(operand->offset);
    for (const int d : other_dims(operand->rank, line)) {
      if (operand->sizes[static_cast<std::size_t>(d)] != 1) divide(operand->strides[static_cast<std::size_t>(d)]);
    }
  }
  return static_cast<int>(width);
}

Scratch::Part Scratch::take(std::int64_t bytes) {
  const Part part{bytes_, bytes};
  bytes_ += (bytes + 63) / 64 * 64;
  return part;
}

Arguments& put_scratch(Arguments& arguments, Scratch::Part part, int slot, bool write) {
  return arguments.pointer({slot, part.begin}, {slot, part.begin, part.begin + part.bytes, write});
}

void fill_scratch(Operations& operations, Scratch::Part part, int slot, std::uint32_t byte) {
  if (part.bytes == 0) return;
  operations.add(device::cuda::MemoryFill{.to = {slot, part.begin}, .value = byte, .width = 1, .count = static_cast<std::size_t>(part.bytes)},
                 {{slot, part.begin, part.begin + part.bytes, true}});
}

TextKernel request(Gpu& gpu, const char* text, std::string entry, std::vector<std::string> options) {
  return {gpu.programs().request({.text = fmt::format("#include \"{}\"\n", text), .entry = std::move(entry), .options = std::move(options)}),
          starts_early(gpu) ? 2 * static_cast<unsigned>(gpu.info().multiprocessors) : 0};
}

void launch(Operations& operations, const TextKernel& kernel, LaunchShape shape, Arguments arguments) {
  shape.programmatic = shape.grid.x * shape.grid.y <= kernel.few_blocks;
  launch(operations, kernel.kernel, shape, std::move(arguments));
}

void launch_each(Operations& operations, const TextKernel& kernel, std::int64_t count, Arguments arguments) {
  launch(operations, kernel, {.grid = {blocks_for(count, kThreads)}, .block = {kThreads}}, std::move(arguments));
}

std::string bits_type(std::int64_t bytes) {
  switch (bytes) {
    case 1:
      return "u8_t";
    case 2:
      return "u16_t";
    case 4:
      return "u32_t";
    case 8:
      return "u64_t";
    default:
      return "Vector<u64_t, 2>";
  }
}

}  // namespace reprise::kernels::cuda
