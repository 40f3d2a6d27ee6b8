// Measures the kernels that could run a matmul or conv, on the GPU, and notes the fastest in its Choices.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device/cuda/device.h"
#include "kernels/cuda/choices.h"
#include "kernels/provider.h"

namespace reprise::kernels::cuda {

/// Thread safe; one command at a time is measured on a GPU, whoever asks. Of every library at most 4, 8, 16, 32 or all kernels compete, by the level from 1 to
/// 5; at level 0 nothing is measured. Where the module's weights exceed the L2 cache, every run reads others, as a call would.
class Tuner {
 public:
  Tuner(std::shared_ptr<device::cuda::CudaDevice> device, const TuningOptions& options) : device_(std::move(device)), options_(options) {}

  /// Times the candidates of a command that has no choice yet, on memory of its own: as nodes of a graph with an empty kernel between, whose time is
  /// subtracted, the median of several launches.
  void tune(const StepSpec& spec);

  struct Measurement {
    std::string name;
    double microseconds = 0;
  };
  /// What was measured for one command, fastest first. Candidates that cannot be made or run are left out.
  std::vector<Measurement> measure(const StepSpec& spec, const std::vector<std::string>& names);

 private:
  std::shared_ptr<device::cuda::CudaDevice> device_;
  TuningOptions options_;
};

}  // namespace reprise::kernels::cuda
