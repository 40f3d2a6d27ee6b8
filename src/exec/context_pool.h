// A module's execution contexts. As many exist as calls were ever in flight at once, no more.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
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
  [[nodiscard]] Lease take(const ShapeKey& key, std::uint64_t stream = 0);

  struct Use {
    std::size_t contexts = 0, reserved_bytes = 0, committed_bytes = 0;
  };
  [[nodiscard]] Use use() const;
  /// `visit` gets the counters of every context. The pool is locked meanwhile.
  template <class F>
  void visit_counters(F&& visit) const {
    const std::scoped_lock lock(mutex_);
    for (const auto& context : all_) visit(std::as_const(context->counters()));
  }

 private:
  [[nodiscard]] ExecutionContext* take_idle(const ShapeKey& key, std::uint64_t stream);
  void give_back(ExecutionContext& context) noexcept;

  ExecutablePtr executable_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<ExecutionContext>> all_;
  std::vector<ExecutionContext*> idle_;  // the one used last at the end; capacity for all of them, so that giving back never allocates
};

}  // namespace reprise::exec
