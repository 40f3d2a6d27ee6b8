#include "exec/context_pool.h"

#include <algorithm>

namespace reprise::exec {

ContextPool::Lease ContextPool::take(const ShapeKey& key, std::uint64_t stream, std::uint64_t owner) {
  if (ExecutionContext* idle = take_idle(key, stream, owner)) return {*this, *idle};
  auto fresh = std::make_unique<ExecutionContext>(executable_);
  fresh->recordings_epoch = epoch_;
  fresh->owner = owner;
  ExecutionContext& context = *fresh;
  const std::scoped_lock lock(mutex_);
  idle_.reserve(all_.size() + 1);
  all_.push_back(std::move(fresh));
  return {*this, context};
}

ExecutionContext* ContextPool::take_idle(const ShapeKey& key, std::uint64_t stream, std::uint64_t owner) {
  const std::scoped_lock lock(mutex_);
  ExecutionContext* found = find_idle(key, stream, owner);
  if (found == nullptr && owner != 0) found = find_idle(key, stream, 0);
  if (found != nullptr) found->owner = owner;
  return found;
}

std::optional<ContextPool::Lease> ContextPool::take_remembered(const CallSignature& call, std::uint64_t stream) {
  const std::scoped_lock lock(mutex_);
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](ExecutionContext* context) {
    return context->owner == 0 && context->remembered.is(call) && context->is_free_for(stream);
  });
  if (found == idle_.rend()) return std::nullopt;
  ExecutionContext& context = **found;
  idle_.erase(std::next(found).base());
  return Lease(*this, context);
}

void ContextPool::disown(std::uint64_t owner) noexcept {
  const std::scoped_lock lock(mutex_);
  for (const auto& context : all_)
    if (context->owner == owner) context->owner = 0;
}

ExecutionContext* ContextPool::find_idle(const ShapeKey& key, std::uint64_t stream, std::uint64_t owner) {
  auto chosen = idle_.end();
  for (auto it = idle_.end(); it != idle_.begin();) {
    --it;
    if ((*it)->owner != owner || !(*it)->is_free_for(stream)) continue;
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
  while (!put_back(context, false)) {
    if (refresh(context)) continue;
    (void)put_back(context, true);
    return;
  }
}

bool ContextPool::refresh(ExecutionContext& context) noexcept {
  try {
    if (context.has_old_weights()) context.adopt_weights();
    if (context.recordings_epoch != epoch_) {
      context.recordings_epoch = epoch_;
      context.drop_recordings();
    }
    return true;
  } catch (const std::exception&) {
    return false;  // the device failed; the next call meets that too
  }
}

bool ContextPool::put_back(ExecutionContext& context, bool stale_too) noexcept {
  const std::scoped_lock lock(mutex_);
  if (!stale_too && is_stale(context)) return false;
  idle_.push_back(&context);
  return true;
}

void ContextPool::drop_recordings() {
  {
    const std::scoped_lock lock(mutex_);
    ++epoch_;
  }
  refresh_idle();
}

void ContextPool::refresh_idle() noexcept {
  while (ExecutionContext* stale = take_stale()) {
    const bool fresh = refresh(*stale);
    if (fresh)
      give_back(*stale);
    else
      (void)put_back(*stale, true);
    if (!fresh) return;
  }
}

ExecutionContext* ContextPool::take_stale() {
  const std::scoped_lock lock(mutex_);
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const auto* context) { return is_stale(*context); });
  if (found == idle_.end()) return nullptr;
  ExecutionContext* context = *found;
  idle_.erase(found);
  return context;
}

ContextPool::Use ContextPool::use() const {
  const std::scoped_lock lock(mutex_);
  Use use{.contexts = all_.size()};
  for (const auto& context : all_) {
    use.reserved_bytes += context->reserved_bytes();
    use.committed_bytes += context->committed_bytes();
    use.slot_bytes += context->slot_bytes();
  }
  return use;
}

}  // namespace reprise::exec
