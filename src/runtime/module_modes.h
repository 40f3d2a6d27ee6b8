// The modes of one module: its strategy and its open scopes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "exec/input_binder.h"
#include "reprise/runtime.h"
#include "runtime/preallocated_outputs.h"
#include "runtime/scope_list.h"

namespace reprise::runtime {

/// Where the memory of results comes from: at most one of them; neither: new tensors.
struct OutputSource {
  std::shared_ptr<PreallocatedOutputs> preallocated = nullptr;
  std::shared_ptr<OutputAllocator> allocator = nullptr;
};

/// What a call goes by, read once when it begins.
struct CallModes {
  bool recorded = false;
  bool native = false;      // recorded because of the strategy
  bool by_segment = false;  // recorded engine by engine
  CudaGraphOptions graphs;  // without buckets
  std::shared_ptr<const std::vector<std::int64_t>> buckets;
  OutputSource outputs;
  exec::ProfileChoice profile;
  std::uint64_t settings_epoch = 0;  // grows when the configuration changes
  std::uint64_t profile_scope = 0;   // whose active profile that is; 0: the module's own
};

/// Thread safe.
class ModuleModes {
 public:
  explicit ModuleModes(const RuntimeConfig& config = {}) : strategy_(config.cuda_graph_strategy) {}

  [[nodiscard]] CallModes now() const;
  /// Some open graph scope has buckets.
  [[nodiscard]] bool has_buckets() const { return has_buckets_.load(std::memory_order_acquire); }

  [[nodiscard]] CudaGraphStrategy strategy() const { return strategy_.load(std::memory_order_relaxed); }
  [[nodiscard]] RuntimeConfig config() const { return {.cuda_graph_strategy = strategy()}; }
  void set_config(const RuntimeConfig& config);

  // Both throw ModeConflict where a strict recording and an output allocator meet.
  [[nodiscard]] std::uint64_t open_graphs(const CudaGraphOptions& options);
  [[nodiscard]] std::uint64_t open_outputs(OutputSource source);
  void close_graphs(std::uint64_t id) noexcept;
  void close_outputs(std::uint64_t id) noexcept;

  // Each scope has an active profile of its own: the module's, or that of the scope around, comes back when it closes.
  [[nodiscard]] int active_profile() const;
  /// `index`: or kAutoProfile, which starts from the one that is active.
  [[nodiscard]] std::uint64_t open_profile(int index);
  void close_profile(std::uint64_t id) noexcept;
  /// A call that began with `modes` took the profile `index`.
  void note_profile(const CallModes& modes, int index);

  /// True the first time.
  [[nodiscard]] bool say_once() const { return !said_.exchange(true, std::memory_order_relaxed); }

 private:
  void note_scopes() {
    has_buckets_ = graphs_.any([](const GraphScope& scope) { return scope.buckets != nullptr; });
    has_scopes_ = graphs_.newest() != nullptr || outputs_.newest() != nullptr || profiles_.newest() != nullptr;
  }

  std::atomic<CudaGraphStrategy> strategy_;
  std::atomic<std::uint64_t> settings_epoch_ = 0;
  std::atomic<bool> has_buckets_ = false;
  std::atomic<bool> has_scopes_ = false;  // calls take the lock only then
  mutable std::atomic<bool> said_ = false;
  mutable std::mutex mutex_;
  struct GraphScope {
    CudaGraphOptions options;
    std::shared_ptr<const std::vector<std::int64_t>> buckets;
  };
  ScopeList<GraphScope> graphs_;
  ScopeList<OutputSource> outputs_;
  ScopeList<exec::ProfileChoice> profiles_;
  std::atomic<int> profile_ = 0;  // active outside of scopes
};

/// What excludes a part of the program from being one recording is an error.
[[nodiscard]] inline bool is_strict(const CudaGraphOptions& options) { return options.require_full_graph || options.on_uncapturable == OnUncapturable::error; }

}  // namespace reprise::runtime
