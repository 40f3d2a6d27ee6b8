// The CUDA half's side of kernels/ahead.h.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "kernels/ahead.h"
#include "kernels/cuda/choices.h"

namespace reprise::kernels::cuda {

std::unique_ptr<AheadOfTime> make_ahead_of_time(const std::string& architecture);
std::unique_ptr<AheadOfTime> make_ahead_of_time(std::span<const plan::Section> sections);
std::unique_ptr<AheadOfTime> make_ahead_of_time(std::shared_ptr<Gpu> gpu);

void load_sections(Gpu& gpu, std::span<const plan::Section> sections, bool allow_recompile);

/// A maker of steps that cannot run: the kernels of each are compiled at once, and dropped.
StepMaker compiling_step_maker(const std::string& architecture);

}  // namespace reprise::kernels::cuda
