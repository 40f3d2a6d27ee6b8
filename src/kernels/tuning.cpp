#include "kernels/tuning.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "tensor/half.h"

namespace reprise::kernels {

std::int64_t multiplications(const StepSpec& spec) {
  if ((spec.op != core::Op::matmul && spec.op != core::Op::conv) || spec.inputs.size() < 2 || spec.outputs.empty()) return 0;
  const OperandRef &a = spec.inputs[0], &b = spec.inputs[1], &y = spec.outputs[0];
  const bool matrix = spec.op == core::Op::matmul && a.rank > 0;
  return y.numel() * (matrix ? a.sizes[static_cast<std::size_t>(a.rank - 1)] : b.numel() / std::max<std::int64_t>(b.sizes[0], 1));
}

std::vector<std::byte> sample_values(DType dtype, std::size_t bytes) {
  constexpr std::size_t kDistinct = 1 << 16;  // bytes, then they repeat
  std::mt19937 engine(1);
  std::uniform_real_distribution<float> reals(-1, 1);
  std::vector<std::byte> data(bytes);
  const std::size_t distinct = std::min(bytes, kDistinct);
  const auto fill = [&](auto of) {
    using T = decltype(of(0.F));
    for (std::size_t i = 0; i + sizeof(T) <= distinct; i += sizeof(T)) {
      const T value = of(reals(engine));
      std::memcpy(data.data() + i, &value, sizeof value);
    }
  };
  if (dtype == DType::f16)
    fill([](float v) { return Half(v); });
  else if (dtype == DType::bf16)
    fill([](float v) { return BFloat16(v); });
  else if (dtype == DType::f64)
    fill([](float v) { return static_cast<double>(v); });
  else if (dtype == DType::f32)
    fill([](float v) { return v; });
  else
    fill([](float v) { return static_cast<std::uint8_t>(v > 0); });
  for (std::size_t i = distinct; i < bytes; i += distinct) std::memcpy(data.data() + i, data.data(), std::min(distinct, bytes - i));
  return data;
}

}  // namespace reprise::kernels
