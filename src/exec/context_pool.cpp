#include "exec/context_pool.h"

#include <algorithm>

namespace reprise::exec {

ContextPool::Lease ContextPool::take(const ShapeKey& key, std::uint64_t stream) {
  if (ExecutionContext* idle = take_idle(key, stream)) return {*this, *idle};
  auto fresh = std::make_unique<ExecutionContext>(executable_);
  ExecutionContext& context = *fresh;
  const std::scoped_lock lock(mutex_);
  idle_.reserve(all_.size() + 1);
  all_.push_back(std::move(fresh));
  return {*this, context};
}

ExecutionContext* ContextPool::take_idle(const ShapeKey& key, std::uint64_t stream) {
  const std::scoped_lock lock(mutex_);
  auto chosen = idle_.end();
  for (auto it = idle_.end(); it-- != idle_.begin();) {
    if (!(*it)->is_free_for(stream)) continue;
    if (chosen == idle_.end()) chosen = it;
    if (!(*it)->holds(key)) continue;
    chosen = it;
    break;
  }
  if (chosen == idle_.end()) return nullptr;
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
