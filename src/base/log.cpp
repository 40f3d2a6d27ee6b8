#include "base/log.h"

#include <atomic>
#include <memory>
#include <mutex>

namespace reprise {
namespace {

struct Listener {
  std::mutex mutex;
  std::shared_ptr<const LogCallback> callback;
  std::atomic<bool> listening{false};
};

/// Never destroyed: threads may log while the process ends.
Listener& listener() {
  static auto* the = new Listener;
  return *the;
}

}  // namespace

void set_log_callback(LogCallback callback) {
  Listener& l = listener();
  const bool listening = static_cast<bool>(callback);
  auto next = listening ? std::make_shared<const LogCallback>(std::move(callback)) : nullptr;
  const std::lock_guard lock(l.mutex);
  l.callback.swap(next);
  l.listening.store(listening, std::memory_order_relaxed);
}

namespace base {

bool log_enabled() { return listener().listening.load(std::memory_order_relaxed); }

void log_message(LogLevel level, std::string_view message) {
  Listener& l = listener();
  std::shared_ptr<const LogCallback> callback;
  {
    const std::lock_guard lock(l.mutex);
    callback = l.callback;
  }
  if (callback) (*callback)(level, message);
}

}  // namespace base
}  // namespace reprise
