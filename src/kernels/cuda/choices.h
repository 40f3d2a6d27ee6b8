// Which kernel was measured to be the fastest for a command on a GPU (kernels/choices.h, candidates.h).
#pragma once

#include <string>

#include "kernels/choices.h"
#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

/// The command, the GPU, and what competes.
std::string choice_key(const Gpu& gpu, const StepSpec& spec);

/// A service of a Gpu.
struct Choices : kernels::Choices {
  explicit Choices(Gpu&) {}
};

}  // namespace reprise::kernels::cuda
