// The times of a module's commands, as a table and as JSON.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "reprise/module.h"

namespace reprise::cli {

/// By command, in their order, and summed by op and kind of kernel, largest first.
std::string profile_text(const std::vector<CommandTime>& commands);
/// The members "commands" and "by_kernel" of an object.
void profile_json(base::JsonWriter& json, const std::vector<CommandTime>& commands);

}  // namespace reprise::cli
