// What a recording costs the host beside the driver's own graph launch, and what a node costs the GPU: cuda_replay [DEVICE_INDEX]
//
// Chains of small dependent kernels. Host times are those of calls that do not wait, in rows of 20 with a wait after each, those of the kinds of call
// interleaved; medians.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <functional>

#include "common/measures.h"
#include "device/cuda/command_list.h"
#include "device/cuda/device.h"
#include "device/cuda/recording.h"
#include "kernels/cuda/step.h"

namespace {

using namespace reprise;
using namespace reprise::device;
using namespace reprise::device::cuda;
using Clock = std::chrono::steady_clock;

constexpr int kRow = 20, kRows = 300;
constexpr std::int64_t kCount = 1024;

/// Microseconds of each call, their rows interleaved.
std::vector<double> medians_us(Stream& stream, const std::vector<std::function<void()>>& calls) {
  std::vector<std::vector<double>> times(calls.size());
  for (int row = 0; row < kRows; ++row) {
    for (std::size_t c = 0; c < calls.size(); ++c) {
      for (int i = 0; i < kRow; ++i) {
        const auto before = Clock::now();
        calls[c]();
        times[c].push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
      }
      stream.synchronize();
    }
  }
  std::vector<double> all;
  for (auto& t : times) all.push_back(bench::median(std::move(t)));
  return all;
}

double gpu_us(CudaDevice& device, Stream& stream, Recording& recording, std::span<void* const> bindings) {
  std::vector<double> times;
  const auto from = device.make_event(), to = device.make_event();
  for (int row = 0; row < 50; ++row) {
    stream.record(*from);
    for (int i = 0; i < kRow; ++i) recording.replay(stream, bindings);
    stream.record(*to);
    to->synchronize();
    times.push_back(device.elapsed_ms(*from, *to) * 1e3 / kRow);
  }
  return bench::median(std::move(times));
}

/// Step i adds 1 to slot i % 2 and stores into the other; the last one stores into slot 3, the first one reads slot 2.
StepList chain(Gpu& gpu, int nodes, bool programmatic) {
  const Kernel kernel =
      gpu.programs().request({.text = "#include \"prelude.cuh\"\nextern \"C\" __global__ void run(const i32_t* a, i32_t* b, i64_t n) {\n  const i64_t i = "
                                      "blockIdx.x * (i64_t)blockDim.x + "
                                      "threadIdx.x;\n  wait_for_earlier_kernels();\n  if (i < n) b[i] = a[i] + 1;\n}\n",
                              .entry = "run"});
  StepList steps;
  for (int i = 0; i < nodes; ++i) {
    const int from = i == 0 ? 2 : i % 2, to = i + 1 == nodes ? 3 : (i + 1) % 2;
    steps.push_back(kernels::cuda::make_step(0, [=](Operations& operations, int) {
      constexpr std::int64_t kBytes = kCount * 4;
      kernels::cuda::Arguments arguments;
      arguments.pointer({from, 0}, {from, 0, kBytes, false}).pointer({to, 0}, {to, 0, kBytes, true}).value(kCount);
      kernels::cuda::launch(operations, kernel, {.grid = {kCount / 256}, .block = {256}, .programmatic = programmatic}, std::move(arguments));
    }));
  }
  return steps;
}

}  // namespace

int main(int argc, char** argv) {
  const auto device = cuda::open(argc > 1 ? std::atoi(argv[1]) : 0);
  fmt::print("{}\n{:>6} {:>12} {:>12} {:>8} {:>14} {:>14} {:>14} {:>16}\n", device->description(), "nodes", "launch", "replay", "ratio", "+1 address",
             "+2 addresses", "GPU a node", "GPU programmatic");
  std::vector<Allocation> memory;
  for (int i = 0; i < 6; ++i) memory.emplace_back(device, kCount * 4);
  std::vector<void*> a, b, c;
  for (const int slot : {0, 1, 2, 3}) a.push_back(memory[static_cast<std::size_t>(slot)].data());
  b = c = a;
  b[3] = c[3] = memory[5].data();
  c[2] = memory[4].data();
  const auto stream = device->make_stream();
  for (const int nodes : {1, 10, 100, 1000}) {
    CudaRecording recording(device->make_command_list(chain(*device->gpu(), nodes, false)), a);
    CudaRecording programmatic(device->make_command_list(chain(*device->gpu(), nodes, true)), a);
    CUstream native = static_cast<CudaStream&>(*stream).get();
    int round = 0;
    const auto host =
        medians_us(*stream, {[&] { driver().cuGraphLaunch(recording.graph_exec(), native); }, [&] { recording.replay(*stream, a); },
                             [&] { recording.replay(*stream, ++round % 2 != 0 ? b : a); }, [&] { recording.replay(*stream, ++round % 2 != 0 ? c : a); }});
    fmt::print("{:>6} {:>9.2f} us {:>9.2f} us {:>8.2f} {:>11.2f} us {:>11.2f} us {:>11.2f} us {:>13.2f} us\n", nodes, host[0], host[1], host[1] / host[0],
               host[2] - host[1], host[3] - host[1], gpu_us(*device, *stream, recording, a) / nodes, gpu_us(*device, *stream, programmatic, a) / nodes);
  }
  return 0;
}
