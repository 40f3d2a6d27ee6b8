// What the tuner measures for one product: cuda_candidates ROWS COLUMNS DEPTH [f16|bf16|f32] [LEVEL]
//
// y[rows, columns] = x[rows, depth] · w[columns, depth] transposed, w a weight that no cache holds; microseconds of every kernel that competes, fastest first.
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <string>

#include "core/attrs.h"
#include "device/cuda/device.h"
#include "kernels/cuda/candidates.h"
#include "kernels/cuda/tuner.h"
#include "sym/evaluate.h"

int main(int argc, char** argv) {
  using namespace reprise;
  if (argc < 4) {
    fmt::print(stderr, "cuda_candidates ROWS COLUMNS DEPTH [f16|bf16|f32] [LEVEL]\n");
    return 2;
  }
  try {
    const std::int64_t rows = std::atoll(argv[1]), columns = std::atoll(argv[2]), depth = std::atoll(argv[3]);
    const std::string type = argc > 4 ? argv[4] : "f16";
    const DType dtype = type == "f32" ? DType::f32 : type == "bf16" ? DType::bf16 : DType::f16;
    const auto device = device::cuda::open(0);
    const auto operand = [&](int slot, std::int64_t m, std::int64_t n, std::int64_t row, std::int64_t column) {
      kernels::OperandRef ref{.dtype = dtype, .slot = slot, .rank = 2};
      ref.sizes[0] = m, ref.sizes[1] = n, ref.strides[0] = row, ref.strides[1] = column;
      return ref;
    };
    const core::Attrs plain{{"has_bias", false}};
    const kernels::BoundAttrs attrs(
        plain, [](const sym::Expr& e) { return sym::evaluate(e, [](const std::string&) { return std::optional<sym::Number>(); }).value(); });
    const std::array inputs{operand(0, rows, depth, depth, 1), operand(1, depth, columns, 1, depth)};
    const std::array outputs{operand(2, rows, columns, columns, 1)};
    char weight = 0;
    const std::array<void*, 2> fixed{nullptr, &weight};
    const kernels::StepSpec spec{.op = core::Op::matmul, .inputs = inputs, .outputs = outputs, .attrs = &attrs, .name = "product", .fixed = fixed};
    kernels::cuda::Tuner tuner(device, {.level = 5, .weight_bytes = std::size_t{1} << 40});
    const int most = argc > 5 ? std::atoi(argv[5]) : 1000;
    for (const auto& m : tuner.measure(spec, kernels::cuda::contraction_candidates(*device->gpu(), spec, most)))
      fmt::print("{:10.2f} us  {}\n", m.microseconds, m.name);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
