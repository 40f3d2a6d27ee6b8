#include "kernels/cpu/choices.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/isa.h"
#include "kernels/machine.h"
#include "reprise/device.h"

namespace reprise::kernels::cpu {

std::string choice_key(const StepSpec& spec, const std::string& library_version) {
  constexpr int kCandidates = 2;  // grows with what competes, so that choices among fewer are made again
  constexpr std::int64_t kAlignment = 64;
  const int to = spec.outputs.empty() ? -1 : spec.outputs.front().slot;
  const bool in_place = std::ranges::any_of(spec.inputs, [&](const OperandRef& input) { return input.slot == to; });
  return fmt::format("{}{}, {}, {}, {} threads, {}: {}{}", kKeyBegin, kCandidates, processor_name(), cpu_isa(), spec.threads, library_version,
                     describe_command(spec, kAlignment), in_place ? " in place" : "");
}

Choices& machine_choices() {
  static Choices choices;
  return choices;
}

}  // namespace reprise::kernels::cpu
