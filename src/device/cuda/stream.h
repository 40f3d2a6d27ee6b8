// Streams and events of a GPU.
#pragma once

#include <cuda.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "device/cuda/gpu.h"
#include "device/cuda/operations.h"
#include "device/device.h"

namespace reprise::device::cuda {

class CudaEvent final : public Event {
 public:
  explicit CudaEvent(std::shared_ptr<Gpu> gpu);
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  ~CudaEvent() override;

  [[nodiscard]] bool query() const override;
  void synchronize() const override;
  [[nodiscard]] CUevent get() const { return event_; }

 private:
  std::shared_ptr<Gpu> gpu_;
  CUevent event_ = nullptr;
};

/// Words that the kernels of a command list may leave errors in, and what these mean.
class Faults {
 public:
  Faults(std::shared_ptr<Gpu> gpu, std::vector<Fault> faults) : gpu_(std::move(gpu)), faults_(std::move(faults)) {}
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  ~Faults();
  [[nodiscard]] bool empty() const { return faults_.empty(); }
  /// Clears all words and throws what the first one that was set means. Nothing that writes them may be running.
  void raise() const;

 private:
  std::shared_ptr<Gpu> gpu_;
  std::vector<Fault> faults_;
};

/// What host steps of one stream threw. They run on a thread of the driver.
class HostErrors {
 public:
  /// Runs the step unless one before it failed.
  void run(const Step& step, void* const* bindings) noexcept;
  /// The first error since the last call, if any.
  [[nodiscard]] std::exception_ptr take();

 private:
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr error_;
};

/// Ordered with the legacy default stream, where other code of the process may work on the same tensors.
class CudaStream final : public Stream {
 public:
  enum class Kind { default_stream, plain, foreign };
  CudaStream(std::shared_ptr<Gpu> gpu, Kind kind);
  CudaStream(std::shared_ptr<Gpu> gpu, CUstream foreign) : gpu_(std::move(gpu)), kind_(Kind::foreign), stream_(foreign) {}
  ~CudaStream() override;

  void synchronize() override;
  [[nodiscard]] bool query() const override;
  void record(Event& event) override;
  void wait(const Event& event) override;
  [[nodiscard]] bool is_default() const override { return kind_ == Kind::default_stream; }

  [[nodiscard]] CUstream get() const { return stream_; }
  [[nodiscard]] const std::shared_ptr<Gpu>& gpu() const { return gpu_; }
  [[nodiscard]] HostErrors& host_errors() { return host_errors_; }
  /// The stream beside this one that copies from the host run in, and events for them.
  struct Lane {
    std::mutex mutex;  // of whoever enqueues
    CUstream stream = nullptr;
    CUevent passed = nullptr;
    std::vector<CUevent> copied;
  };
  [[nodiscard]] Lane& lane() { return lane_; }
  /// Has the next `synchronize` look at these.
  void watch(const std::shared_ptr<const Faults>& faults);

 private:
  [[nodiscard]] std::exception_ptr data_error();

  std::shared_ptr<Gpu> gpu_;
  Kind kind_;
  CUstream stream_ = nullptr;
  HostErrors host_errors_;
  std::atomic<bool> watching_ = false;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const Faults>> watched_;
  Lane lane_;
};

}  // namespace reprise::device::cuda
