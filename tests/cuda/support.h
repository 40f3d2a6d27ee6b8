// Steps of small kernels, for the tests of what runs them. Tests that need a GPU are skipped without one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "device/cuda/device.h"
#include "kernels/cuda/step.h"
#include "reprise/error.h"

namespace reprise::device::cuda::test {

using kernels::cuda::Arguments;

class OnGpu : public testing::Test {
 protected:
  void SetUp() override {
    try {
      device = open(0);
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
    gpu = device->gpu();
  }

  /// A kernel of one thread per element over int arrays: `body` sees i, n and the pointers a, b, c.
  [[nodiscard]] Kernel kernel(const std::string& body) const {
    return gpu->programs().request({.text = "#include \"prelude.cuh\"\nextern \"C\" __global__ void run(const i32_t* a, const i32_t* b, i32_t* c, i64_t n) {\n"
                                            "  wait_for_earlier_kernels();\n"
                                            "  const i64_t i = blockIdx.x * (i64_t)blockDim.x + threadIdx.x;\n  if (i >= n) return;\n  " +
                                            body + "\n}\n",
                                    .entry = "run"});
  }
  /// c[i] = f(a[i], b[i]) over slots.
  [[nodiscard]] std::unique_ptr<Step> step(const std::string& body, int a, int b, int c, std::int64_t n, bool programmatic = false) const {
    const auto bytes = n * static_cast<std::int64_t>(sizeof(int));
    return kernels::cuda::make_step(0, [=, compiled = kernel(body)](Operations& operations, int) {
      Arguments arguments;
      arguments.pointer({a, 0}, {a, 0, bytes, false}).pointer({b, 0}, {b, 0, bytes, false}).pointer({c, 0}, {c, 0, bytes, true}).value(n);
      kernels::cuda::launch(operations, compiled, {.grid = {static_cast<unsigned>((n + 127) / 128)}, .block = {128}, .programmatic = programmatic},
                            std::move(arguments));
    });
  }

  [[nodiscard]] Allocation upload(const std::vector<int>& values) const {
    Allocation memory(device, values.size() * sizeof(int));
    device->copy(memory.data(), values.data(), memory.size(), device->default_stream());
    device->default_stream().synchronize();
    return memory;
  }
  [[nodiscard]] std::vector<int> download(const void* data, std::size_t count) const {
    std::vector<int> values(count);
    device->copy(values.data(), data, count * sizeof(int), device->default_stream());
    device->default_stream().synchronize();
    return values;
  }

  std::shared_ptr<CudaDevice> device;
  std::shared_ptr<Gpu> gpu;
};

}  // namespace reprise::device::cuda::test
