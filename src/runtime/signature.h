// The signature as the public API tells it.
#pragma once

#include <vector>

#include "plan/plan.h"
#include "reprise/module.h"

namespace reprise::runtime {

std::vector<SignatureEntry> describe_inputs(const plan::Plan& plan);
std::vector<SignatureEntry> describe_outputs(const plan::Plan& plan);

}  // namespace reprise::runtime
