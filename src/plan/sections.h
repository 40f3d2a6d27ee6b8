// Sections of a module's file that are text.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "plan/plan.h"

namespace reprise::plan {

/// Empty when there is none of that name. Lies in the section's bytes.
std::string_view section_text(std::span<const Section> sections, std::string_view name);
Section text_section(std::string name, std::string_view text);

}  // namespace reprise::plan
