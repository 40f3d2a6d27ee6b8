// A module's execution contexts. As many exist as calls were ever in flight at once, no more.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "exec/context.h"

namespace reprise::exec {

/// Thread safe. Its lock is held to take and to give back, never while a context is made, bound or run.
class ContextPool {
 public:
  explicit ContextPool(ExecutablePtr executable) : executable_(std::move(executable)) {}

  /// A context in use by one call; its destructor gives it back. The pool must outlive it.
  class Lease {
   public:
    Lease(ContextPool& pool, ExecutionContext& context) : pool_(&pool), context_(&context) {}
    Lease(Lease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), context_(other.context_) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (pool_ != nullptr) pool_->give_back(*context_);
    }
    ExecutionContext& operator*() const { return *context_; }
    ExecutionContext* operator->() const { return context_; }

   private:
    ContextPool* pool_;
    ExecutionContext* context_;
  };

  /// Of the idle contexts that are free for the stream `id` (ExecutionContext::is_free_for) the one that holds `key`, else the one used last; else a new one.
  /// `owner`: a bound call, which gets a context of its own (its first comes from those that are nobody's), and others do not get that one.
  [[nodiscard]] Lease take(const ShapeKey& key, std::uint64_t stream = 0, std::uint64_t owner = 0);
  /// An idle context, free for the stream, that remembers `call`.
  [[nodiscard]] std::optional<Lease> take_remembered(const CallSignature& call, std::uint64_t stream);
  /// What belonged to `owner` is everybody's again.
  void disown(std::uint64_t owner) noexcept;

  struct Use {
    std::size_t contexts = 0, reserved_bytes = 0, committed_bytes = 0, slot_bytes = 0;
  };
  [[nodiscard]] Use use() const;
  /// Drops the recordings of every context: idle ones now, others when their call gives them back. Waits for the work that uses them.
  void drop_recordings();
  /// Has every context go by the weights as they are now (ExecutionContext::adopt_weights), idle ones at once.
  void adopt_weights() noexcept { refresh_idle(); }
  /// How often recordings were dropped. Who decided to record before then must say so (ExecutionContext::recordings_epoch): recordings must not outlive what
  /// asked for them.
  [[nodiscard]] std::uint64_t recordings_epoch() const { return epoch_; }
  /// `visit` gets the counters of every context. The pool is locked meanwhile.
  template <class F>
  void visit_counters(F&& visit) const {
    const std::scoped_lock lock(mutex_);
    for (const auto& context : all_) visit(std::as_const(context->counters()));
  }

 private:
  [[nodiscard]] ExecutionContext* take_idle(const ShapeKey& key, std::uint64_t stream, std::uint64_t owner);
  [[nodiscard]] ExecutionContext* find_idle(const ShapeKey& key, std::uint64_t stream, std::uint64_t owner);
  void give_back(ExecutionContext& context) noexcept;
  void refresh_idle() noexcept;
  /// False where the device failed.
  bool refresh(ExecutionContext& context) noexcept;
  [[nodiscard]] bool is_stale(const ExecutionContext& context) const { return context.recordings_epoch != epoch_ || context.has_old_weights(); }
  /// False when it is stale and must not be so.
  [[nodiscard]] bool put_back(ExecutionContext& context, bool stale_too) noexcept;
  [[nodiscard]] ExecutionContext* take_stale();

  ExecutablePtr executable_;
  std::atomic<std::uint64_t> epoch_ = 0;  // grows when recordings are dropped
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<ExecutionContext>> all_;
  std::vector<ExecutionContext*> idle_;  // the one used last at the end; capacity for all of them, so that giving back never allocates
};

}  // namespace reprise::exec
