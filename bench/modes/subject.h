// The programs that bench_modes measures, and their tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/measures.h"
#include "reprise/reprise.h"

namespace reprise::bench {

struct Settings {
  CompileOptions compile;
  std::vector<std::string> breaking_ops = {"aten.mul.Tensor", "aten.relu.default", "aten.relu_.default", "aten.gelu.default"};
  double seconds = 0.05;  // for each kind of call, in each round
  int rounds = 5;
  int changes = 100000;  // of modes
};

struct Subject {
  std::string path, name;
  Module whole;                                              // in one engine as far as that goes
  std::optional<Module> broken;                              // the breaking ops run outside; none where the program has none
  int breaks = 0;                                            // its fallback segments
  std::int64_t min_batch = 0, opt_batch = 0, max_batch = 0;  // all alike where the batch is fixed

  [[nodiscard]] bool is_dynamic() const { return min_batch < max_batch; }
};

/// A module that may stream its weights, as it is deployed: of a file that stays mapped.
[[nodiscard]] Module load_streaming(const std::string& path, const Settings& settings);
[[nodiscard]] Subject make_subject(const std::string& path, const Settings& settings);

/// Inputs on the module's device: reals of a seed, integers of zeros and ones. `batch`: the size of every dimension that is as dynamic as the first input's
/// first one.
[[nodiscard]] std::vector<Tensor> make_inputs(const Module& module, std::int64_t batch, unsigned seed);
[[nodiscard]] std::vector<Tensor> make_outputs(const Module& module, const std::vector<Tensor>& inputs);
/// The tensors among a call's results.
[[nodiscard]] std::vector<Tensor> results_of(const Module& module, const std::vector<Tensor>& inputs);

[[nodiscard]] bool same_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want);
/// What `difference` may be between two ways to run one module.
[[nodiscard]] double tolerance(const Settings& settings);

}  // namespace reprise::bench
