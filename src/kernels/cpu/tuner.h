// Measures the kernels that could run a matmul or conv on this machine, and notes the best choice (choices.h).
#pragma once

#include <string>
#include <vector>

#include "device/device.h"
#include "kernels/cpu/candidates.h"
#include "kernels/provider.h"

namespace reprise::kernels::cpu {

/// Of one compilation. Not thread safe; several tuners measure one command at a time. The level says how many seconds all its measurements may take, what is
/// too small to be measured, and whether variants of a kernel compete; at level 0 nothing is measured.
class Tuner {
 public:
  Tuner(device::DevicePtr device, const TuningOptions& options);

  /// Measures the candidates of a command that has no choice yet: the fixed rules' kernel stays unless another is clearly faster. Nothing is noted where there
  /// is no other, or no time left.
  void tune(const StepSpec& spec);

  struct Measurement {
    std::string name;
    double microseconds = 0;  // of the median run
    double ratio = 1;         // to the first one's time, of the median round
  };
  /// The fixed rules' kernel, then others that can be made; all take turns in every round. Hopeless ones stop early. Empty: there are no others, or there was
  /// not enough time to compare them.
  std::vector<Measurement> measure(const StepSpec& spec);

 private:
  device::DevicePtr device_;
  TuningOptions options_;
  double seconds_left_ = 0;
  Contractions kernels_;
  const std::string version_ = kernels_.version();
};

/// The first of them unless another is faster by a clear margin, which is larger for several threads. Not empty.
const Tuner::Measurement& best_choice(const std::vector<Tuner::Measurement>& measured, int threads);

}  // namespace reprise::kernels::cpu
