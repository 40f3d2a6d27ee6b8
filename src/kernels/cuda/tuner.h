// Measures the kernels that could run a matmul or conv, on the GPU, and notes the fastest in its Choices.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device/cuda/device.h"
#include "kernels/cuda/choices.h"

namespace reprise::kernels::cuda {

struct TuningOptions {
  /// 0 measures nothing; 1 to 5 measure ever more candidates: 4, 8, 16, 32, all, which takes about as many tenths of a second per command.
  int level = 3;
  /// Weights come from memory in a call, since all of the module's together exceed the L2 cache: measure so.
  bool cold_weights = false;
};

/// Thread safe; measures one command at a time.
class Tuner {
 public:
  Tuner(std::shared_ptr<device::cuda::CudaDevice> device, const TuningOptions& options) : device_(std::move(device)), options_(options) {}

  /// Times the candidates of a command that has no choice yet, on memory of its own: as nodes of a graph, the median of several launches.
  void tune(const StepSpec& spec);

  struct Measurement {
    std::string name;
    double microseconds = 0;
  };
  /// What was measured for one command, fastest first. Candidates that cannot be made or run are left out.
  std::vector<Measurement> measure(const StepSpec& spec, const std::vector<std::string>& names);

 private:
  std::mutex mutex_;
  std::shared_ptr<device::cuda::CudaDevice> device_;
  TuningOptions options_;
};

/// Makes steps as make_cuda_step does, tuning first what has no choice yet.
StepMaker tuning_step_maker(std::shared_ptr<device::cuda::CudaDevice> device, const TuningOptions& options);

}  // namespace reprise::kernels::cuda
