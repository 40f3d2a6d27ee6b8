// The plan's lists from JSON text that may be hostile: the other half of the `.rpz` format. What they return still has to pass `verify`.
#pragma once

#include <functional>

#include "base/json.h"
#include "plan/plan.h"

namespace reprise::plan {

/// Finds a tensor's bytes: archive entry and offset; throws FormatError when they lie outside.
using TensorSource = std::function<Tensor(const std::string& entry, std::size_t offset_bytes, DType dtype, const std::vector<std::int64_t>& sizes)>;

/// Throws FormatError for a newer major format before anything else is read.
void check_format(const base::JsonValue& manifest, const std::string& label);
void read_manifest(const base::JsonValue& manifest, const TensorSource& tensors, Plan& plan);
void read_plan(const base::JsonValue& root, Plan& plan);

}  // namespace reprise::plan
