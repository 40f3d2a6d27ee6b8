#include "runtime/modes.h"

#include <atomic>
#include <mutex>

#include "runtime/scope_list.h"

namespace reprise::runtime {
namespace {

class ProcessMode {
 public:
  [[nodiscard]] CudaGraphsMode get() const { return current_.load(std::memory_order_acquire); }

  void set(CudaGraphsMode mode) {
    const std::scoped_lock lock(mutex_);
    (scopes_.newest() != nullptr ? *scopes_.newest() : outside_) = mode;
    publish();
  }
  std::uint64_t open(CudaGraphsMode mode) {
    const std::scoped_lock lock(mutex_);
    const auto id = scopes_.open(mode);
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
  CudaGraphsMode outside_ = CudaGraphsMode::standard;  // of all scopes
  ScopeList<CudaGraphsMode> scopes_;
  std::atomic<CudaGraphsMode> current_ = CudaGraphsMode::standard;
};

ProcessMode& process_mode() {
  static ProcessMode mode;
  return mode;
}

}  // namespace

CudaGraphsMode cudagraphs_mode() { return process_mode().get(); }
std::uint64_t open_cudagraphs_scope(CudaGraphsMode mode) { return process_mode().open(mode); }
void close_cudagraphs_scope(std::uint64_t id) noexcept { process_mode().close(id); }

void set_cudagraphs_mode(bool on) { process_mode().set(on ? CudaGraphsMode::subgraph_cudagraphs : CudaGraphsMode::standard); }
bool get_cudagraphs_mode() { return cudagraphs_mode() == CudaGraphsMode::subgraph_cudagraphs; }
bool get_whole_cudagraphs_mode() { return cudagraphs_mode() == CudaGraphsMode::whole_graph_cudagraphs; }

}  // namespace reprise::runtime
