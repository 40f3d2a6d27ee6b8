#include "kernels/cuda/nest.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <numeric>

namespace reprise::kernels::cuda {
namespace {

// Below 2^31 by what the threads of the last block count beyond.
constexpr std::int64_t kNarrowLimit = (std::int64_t{1} << 31) - 4096;

/// As the text's: the least shift with 2^shift >= divisor; then 2^32 + multiplier is 2^(32 + shift) / divisor, rounded up.
struct FastDivisor {
  std::uint32_t divisor, multiplier, shift;
};

FastDivisor fast_divisor(std::int64_t size) {
  const auto divisor = static_cast<std::uint32_t>(std::max<std::int64_t>(size, 1));  // nothing divides by the size of an empty nest
  const auto shift = static_cast<std::uint32_t>(std::bit_width(divisor - 1));
  const std::uint64_t multiplier = (std::uint64_t{1} << 32) * ((std::uint64_t{1} << shift) - divisor) / divisor + 1;
  return {divisor, static_cast<std::uint32_t>(multiplier), shift};
}

}  // namespace

Nest::Nest(std::span<const OperandRef> operands, const OperandRef& order_of) : operands_(operands.begin(), operands.end()) {
  std::vector<std::size_t> order(static_cast<std::size_t>(order_of.rank));
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return std::abs(order_of.strides[a]) > std::abs(order_of.strides[b]); });
  for (const std::size_t d : order) {
    const std::int64_t size = order_of.sizes[d];
    if (size == 1) continue;
    std::vector<std::int64_t> strides;
    for (const OperandRef& operand : operands_) strides.push_back(operand.strides[d]);
    const bool continues = rank() > 0 && std::equal(strides.begin(), strides.end(), strides_.back().begin(),
                                                    [&](std::int64_t inner, std::int64_t outer) { return outer == inner * size; });
    if (continues) {
      sizes_.back() *= size;
      strides_.back() = std::move(strides);
    } else {
      sizes_.push_back(size);
      strides_.push_back(std::move(strides));
    }
  }
  wide_ = needs_wide();
}

std::int64_t Nest::items() const { return std::accumulate(sizes_.begin(), sizes_.end(), std::int64_t{1}, std::multiplies<>()); }

std::int64_t Nest::widest_vector() const {
  if (rank() == 0) return 1;
  std::int64_t width = 16;
  const auto divide = [&width](std::int64_t value) {
    while (value % width != 0) width /= 2;
  };
  divide(sizes_.back());
  for (std::size_t k = 0; k < operands_.size(); ++k) {
    if (inner_stride(k) != 1) continue;
    width = std::min(width, 16 / static_cast<std::int64_t>(item_size(operands_[k].dtype)));
    divide(operands_[k].offset);
    for (std::size_t d = 0; d + 1 < rank(); ++d) divide(strides_[d][k]);
  }
  return width;
}

bool Nest::needs_wide() const {
  if (items() > kNarrowLimit) return true;
  for (std::size_t k = 0; k < operands_.size(); ++k) {
    std::int64_t reach = 0;
    for (std::size_t d = 0; d < rank(); ++d) reach += (sizes_[d] - 1) * std::abs(strides_[d][k]);
    if (reach > kNarrowLimit) return true;
  }
  return false;
}

void Parameters::index(const std::string& name, std::int64_t v, bool wide) {
  if (wide)
    value("Index " + name, v);
  else
    value("Index " + name, static_cast<std::int32_t>(v));
}

void Parameters::divisor(const std::string& name, std::int64_t v, bool wide) {
  if (wide)
    value("const Divisor " + name, v);
  else
    value("const Divisor " + name, fast_divisor(v));
}

std::string index_types(bool wide) {
  return wide ? "using Index = i64_t;\nusing Divisor = PlainDivisor;\n" : "using Index = u32_t;\nusing Divisor = FastDivisor;\n";
}

}  // namespace reprise::kernels::cuda
