#include "device/cuda/strided_copy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <vector>

#include "base/check.h"

namespace reprise::device::cuda {
namespace {

constexpr std::size_t kMaxRank = 16;

// As text/strided_copy.cuh declares them.
struct Geometry {
  std::int64_t count = 1;
  std::int32_t rank = 0;
  std::int64_t sizes[kMaxRank] = {}, to[kMaxRank] = {}, from[kMaxRank] = {};
};
struct Parameters {
  void* dst;
  const void* src;
  Geometry geometry;
};

/// Dimensions of size 1 left out, neighbours that follow each other in both layouts merged.
Geometry simplify(std::span<const std::int64_t> sizes, std::span<const std::int64_t> to, std::span<const std::int64_t> from) {
  Geometry g;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    g.count *= sizes[d];
    if (sizes[d] == 1) continue;
    const int last = g.rank - 1;
    if (last >= 0 && g.to[last] == to[d] * sizes[d] && g.from[last] == from[d] * sizes[d]) {
      g.sizes[last] *= sizes[d];
      g.to[last] = to[d];
      g.from[last] = from[d];
    } else {
      g.sizes[g.rank] = sizes[d];
      g.to[g.rank] = to[d];
      g.from[g.rank++] = from[d];
    }
  }
  return g;
}

class StridedCopyKernels {
 public:
  explicit StridedCopyKernels(Gpu& gpu) {
    for (std::size_t i = 0; i < kernels_.size(); ++i)
      kernels_[i] = gpu.programs().request({.text = "#include \"strided_copy.cuh\"\n", .entry = "strided_copy<" + std::to_string(1 << i) + ">"});
  }
  [[nodiscard]] CUfunction of(std::size_t item_size) const {
    const auto index = static_cast<std::size_t>(std::countr_zero(item_size));
    REPRISE_CHECK(std::has_single_bit(item_size) && index < kernels_.size(), InvalidArgument,
                  "[device/copy] wrong element width (got {} bytes, want 1, 2, 4 or 8)", item_size);
    return kernels_[index].get();
  }

 private:
  std::array<Kernel, 4> kernels_;
};

}  // namespace

void request_strided_copies(Gpu& gpu) { (void)gpu.service<StridedCopyKernels>(); }

void copy_strided(Gpu& gpu, void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                  std::span<const std::int64_t> sizes, std::size_t item_size, CUstream stream) {
  REPRISE_CHECK(sizes.size() <= kMaxRank, InvalidArgument, "[device/copy] too many dimensions (got {}, want at most {})", sizes.size(), kMaxRank);
  Parameters parameters{dst, src, simplify(sizes, dst_strides, src_strides)};
  const Geometry& g = parameters.geometry;
  if (g.count == 0) return;
  const Driver& cuda = driver();
  if (g.rank == 0 || (g.rank == 1 && g.to[0] == 1 && g.from[0] == 1)) {
    const std::size_t bytes = static_cast<std::size_t>(g.count) * item_size;
    check(cuda.cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(dst), reinterpret_cast<CUdeviceptr>(src), bytes, stream), "copying memory");
    return;
  }
  constexpr unsigned kThreads = 256;
  constexpr std::int64_t kMaxBlocks = 1 << 20;
  CUlaunchConfig config{};
  config.gridDimX = static_cast<unsigned>(std::min((g.count + kThreads - 1) / kThreads, kMaxBlocks));
  config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
  config.blockDimX = kThreads;
  config.hStream = stream;
  void* arguments[] = {&parameters.dst, &parameters.src, &parameters.geometry};
  check(cuda.cuLaunchKernelEx(&config, gpu.service<StridedCopyKernels>().of(item_size), arguments, nullptr), "copying memory");
}

}  // namespace reprise::device::cuda
