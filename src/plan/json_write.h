// The plan's lists as JSON text: one half of the `.rpz` format.
#pragma once

#include <string>

#include "plan/plan.h"

namespace reprise::plan {

/// `manifest.json`: format version, producer, settings, symbols, profiles, segments, signature, names of weights and states with their entries.
/// `weight_entries[i]`, `state_entries[i]`, `sample_entries[i]` (inputs; empty: none) name archive entries and offsets.
struct TensorEntry {
  std::string entry;
  std::size_t offset_bytes = 0;
};
std::string manifest_json(const Plan& plan, const std::vector<TensorEntry>& weights, const std::vector<TensorEntry>& states,
                          const std::vector<TensorEntry>& samples);

/// `plan.json`: buffers and blocks.
std::string plan_json(const Plan& plan);

}  // namespace reprise::plan
