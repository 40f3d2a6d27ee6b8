#include "runtime/modes.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "runtime/scope_list.h"

namespace reprise::runtime {
namespace {

/// Set by hand, or by scopes, of which the newest counts.
template <class T>
class ProcessSetting {
 public:
  explicit ProcessSetting(T initial) : outside_(initial), current_(initial) {}
  [[nodiscard]] T get() const { return current_.load(std::memory_order_acquire); }

  void set(T value) {
    const std::scoped_lock lock(mutex_);
    (scopes_.newest() != nullptr ? *scopes_.newest() : outside_) = value;
    publish();
  }
  std::uint64_t open(T value) {
    const std::scoped_lock lock(mutex_);
    const auto id = scopes_.open(value);
    publish();
    return id;
  }
  void close(std::uint64_t id) {
    const std::scoped_lock lock(mutex_);
    scopes_.close(id);
    publish();
  }

 private:
  void publish() { current_.store(scopes_.newest() != nullptr ? *scopes_.newest() : outside_, std::memory_order_release); }

  std::mutex mutex_;
  T outside_;  // of all scopes
  ScopeList<T> scopes_;
  std::atomic<T> current_;
};

ProcessSetting<CudaGraphsMode>& process_mode() {
  static ProcessSetting<CudaGraphsMode> mode(CudaGraphsMode::standard);
  return mode;
}

ProcessSetting<bool>& safe_mode() {
  static ProcessSetting<bool> safe(false);
  return safe;
}

}  // namespace

CudaGraphsMode cudagraphs_mode() { return process_mode().get(); }
std::uint64_t open_cudagraphs_scope(CudaGraphsMode mode) { return process_mode().open(mode); }
void close_cudagraphs_scope(std::uint64_t id) noexcept { process_mode().close(id); }

void set_cudagraphs_mode(bool on) { process_mode().set(on ? CudaGraphsMode::subgraph_cudagraphs : CudaGraphsMode::standard); }
bool get_cudagraphs_mode() { return cudagraphs_mode() == CudaGraphsMode::subgraph_cudagraphs; }
bool get_whole_cudagraphs_mode() { return cudagraphs_mode() == CudaGraphsMode::whole_graph_cudagraphs; }

void set_multi_device_safe_mode(bool on) { safe_mode().set(on); }
bool multi_device_safe_mode() { return safe_mode().get(); }
bool get_multi_device_safe_mode() { return multi_device_safe_mode(); }
MultiDeviceSafeModeScope::MultiDeviceSafeModeScope(bool on) : id_(safe_mode().open(on)) {}
void MultiDeviceSafeModeScope::close() noexcept {
  if (const auto id = std::exchange(id_, 0); id != 0) safe_mode().close(id);
}

}  // namespace reprise::runtime
