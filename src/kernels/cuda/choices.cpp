#include "kernels/cuda/choices.h"

#include <fmt/format.h>

namespace reprise::kernels::cuda {

std::string choice_key(const Gpu& gpu, const StepSpec& spec) {
  constexpr int kCandidates = 3;  // grows with what competes, so that choices among fewer are made again
  return fmt::format("{} {} {}", kCandidates, gpu.info().name, describe_command(spec, static_cast<std::int64_t>(device::cuda::kSlotAlignment)));
}

}  // namespace reprise::kernels::cuda
