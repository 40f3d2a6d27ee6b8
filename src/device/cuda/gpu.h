// A GPU as this process uses it: its primary context, what it can do, its compiled programs and the objects of libraries. One per GPU, shared by all handles.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <typeindex>
#include <unordered_map>

#include "device/cuda/driver.h"
#include "device/cuda/programs.h"
#include "device/device.h"

namespace reprise::device::cuda {

struct GpuInfo {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::size_t memory_bytes = 0, l2_bytes = 0;
  std::size_t max_shared_bytes = 0;  // of a block that asks for it
  int max_threads_per_multiprocessor = 0;
  int driver_version = 0;    // 13000
  std::string architecture;  // what programs are compiled for: "sm_90a"
};

/// What the usual card of an architecture ("sm_90a") has; its name is the architecture's ("sm_90" is "sm_90a"). Throws InvalidArgument for one that is not
/// known.
GpuInfo usual_gpu(const std::string& architecture);

class FaultWords;
class MemoryPool;

/// Thread safe.
class Gpu {
 public:
  /// The GPU `index` of this process; made at first use and kept until the process ends, compiled kernels with it. Throws DeviceError: no driver, no such GPU,
  /// too old an architecture.
  static std::shared_ptr<Gpu> open(int index);
  /// A GPU that is not there: it has no context and no memory, and its programs are only noted (Programs::take_requests).
  static std::shared_ptr<Gpu> offline(GpuInfo info);
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  [[nodiscard]] int index() const { return index_; }
  [[nodiscard]] const GpuInfo& info() const { return info_; }
  [[nodiscard]] CUcontext context() const { return context_; }
  [[nodiscard]] Programs& programs() { return *programs_; }
  [[nodiscard]] MemoryPool& memory() { return *memory_; }
  [[nodiscard]] FaultWords& fault_words() { return *fault_words_; }

  /// An object of type T(Gpu&), made at first use and kept: library handles, tables. T's constructor may ask for other services; it runs with this GPU's
  /// context current.
  template <class T>
  [[nodiscard]] T& service() {
    return *static_cast<T*>(find_service(typeid(T), [](Gpu& gpu) -> std::shared_ptr<void> { return std::make_shared<T>(gpu); }));
  }

 private:
  explicit Gpu(int index);
  explicit Gpu(GpuInfo info);
  void* find_service(std::type_index type, std::shared_ptr<void> (*make)(Gpu&));

  int index_ = -1;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  GpuInfo info_;
  std::unique_ptr<MemoryPool> memory_;
  std::unique_ptr<FaultWords> fault_words_;
  std::unique_ptr<Programs> programs_;
  std::recursive_mutex services_mutex_;
  std::unordered_map<std::type_index, std::shared_ptr<void>> services_;
};

}  // namespace reprise::device::cuda
