// Calls at a larger batch than the caller's, so that few shapes are recorded.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reprise/module.h"
#include "reprise/stats.h"
#include "runtime/independence.h"

namespace reprise::runtime {

struct CallModes;

/// A call's inputs at the batch of a bucket.
template <class Given>
struct PaddedCall {
  std::vector<Given> inputs;
  std::vector<std::optional<std::vector<std::int64_t>>> output_sizes;  // of the caller's batch; nullopt: as it comes
  /// The first rows of results at the larger batch.
  [[nodiscard]] std::vector<Argument> cut(std::vector<Argument> results) const;
};

/// Of one module. Thread safe.
class Buckets {
 public:
  /// For a call that goes by `modes`. nullopt: it runs as it is, which is counted unless its batch is a bucket. Throws as a call does for its arguments.
  template <class Given>
  [[nodiscard]] std::optional<PaddedCall<Given>> pad(Module::Impl& impl, const CallModes& modes, std::span<const Given> inputs);
  /// Counts a call that runs as it is.
  void pass(const std::string& reason);
  void add_to(ModuleStats& stats) const;

 private:
  [[nodiscard]] const Independence& independence(const plan::Plan& plan);

  mutable std::mutex mutex_;
  std::optional<Independence> independence_;  // worked out when it is first asked for
  std::uint64_t calls_ = 0, rows_ = 0;
  std::map<std::string, std::uint64_t> passed_;
};

}  // namespace reprise::runtime
