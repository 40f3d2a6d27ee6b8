#include "exec/context_pool.h"

#include <algorithm>

namespace reprise::exec {

ContextPool::Lease ContextPool::take(const ShapeKey& key) {
  if (ExecutionContext* idle = take_idle(key)) return {*this, *idle};
  auto fresh = std::make_unique<ExecutionContext>(executable_);
  ExecutionContext& context = *fresh;
  const std::scoped_lock lock(mutex_);
  idle_.reserve(all_.size() + 1);
  all_.push_back(std::move(fresh));
  return {*this, context};
}

ExecutionContext* ContextPool::take_idle(const ShapeKey& key) {
  const std::scoped_lock lock(mutex_);
  if (idle_.empty()) return nullptr;
  auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const ExecutionContext* context) { return context->holds(key); });
  const auto chosen = found == idle_.rend() ? idle_.end() - 1 : found.base() - 1;
  ExecutionContext* context = *chosen;
  idle_.erase(chosen);
  return context;
}

void ContextPool::give_back(ExecutionContext& context) noexcept {
  const std::scoped_lock lock(mutex_);
  idle_.push_back(&context);
}

ContextPool::Use ContextPool::use() const {
  const std::scoped_lock lock(mutex_);
  Use use{.contexts = all_.size()};
  for (const auto& context : all_) {
    use.reserved_bytes += context->reserved_bytes();
    use.committed_bytes += context->committed_bytes();
  }
  return use;
}

}  // namespace reprise::exec
