// Which kernel was measured to be the fastest for a command on this machine (kernels/choices.h, candidates.h).
#pragma once

#include <string>

#include "kernels/choices.h"

namespace reprise::kernels::cpu {

/// What keys of CPUs begin with.
inline constexpr const char* kKeyBegin = "cpu ";

/// The command, processor, instruction set, threads, the library's version, and what competes.
std::string choice_key(const StepSpec& spec, const std::string& library_version);

/// One for the process, as long as that lives.
Choices& machine_choices();

}  // namespace reprise::kernels::cpu
