// The signature as the public API tells it.
#pragma once

#include <vector>

#include "plan/plan.h"
#include "reprise/module.h"

namespace reprise::runtime {

std::vector<SignatureEntry> describe_inputs(const plan::Plan& plan, std::size_t profile = 0);
std::vector<SignatureEntry> describe_outputs(const plan::Plan& plan, std::size_t profile = 0);

/// `index` as a place in Plan::profiles. Throws InvalidArgument.
std::size_t check_profile(const plan::Plan& plan, int index);

}  // namespace reprise::runtime
