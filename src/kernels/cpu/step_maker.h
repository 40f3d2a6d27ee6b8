// The kernels of the CPU device: for products and convolutions what was measured to be the fastest, else what fixed rules say; other ops' own ones, oneDNN's or
// the reference back end's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/ahead.h"
#include "kernels/kernel.h"

namespace reprise::kernels::cpu {

/// Thread safe. Its steps share packed weights (StepSpec::fixed), which live as long as any of them.
StepMaker step_maker();

/// Nothing of the CPU is compiled ahead of time: what it tells are the names of kernels ("onednn", "reference", both where an epilogue runs behind) and
/// measured times, what it makes is the section of the choices.
std::unique_ptr<AheadOfTime> make_ahead_of_time();

/// What forms packed here are tagged with in a file: their version, the instruction set that is used, the library.
std::string packing_tag();
/// How the kernels that `spec` becomes would have its weights packed.
std::vector<Packing> weight_forms(const StepMaker& make, StepSpec spec);

/// Takes over the choices of a module's file.
void load_sections(std::span<const plan::Section> sections);

}  // namespace reprise::kernels::cpu
