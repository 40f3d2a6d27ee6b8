#include "device/cuda/stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "device/cuda/memory.h"

namespace reprise::device::cuda {

CudaEvent::CudaEvent(std::shared_ptr<Gpu> gpu) : gpu_(std::move(gpu)) {
  const CurrentContext current(gpu_->context());
  check(driver().cuEventCreate(&event_, CU_EVENT_DEFAULT), "making an event");
}

CudaEvent::~CudaEvent() {
  const CurrentContext current(gpu_->context());
  driver().cuEventDestroy(event_);
}

bool CudaEvent::query() const {
  const CurrentContext current(gpu_->context());
  const CUresult result = driver().cuEventQuery(event_);
  if (result == CUDA_ERROR_NOT_READY) return false;
  check(result, "asking for an event");
  return true;
}

void CudaEvent::synchronize() const {
  const CurrentContext current(gpu_->context());
  check(driver().cuEventSynchronize(event_), "waiting for an event");
}

Faults::~Faults() {
  for (const auto& fault : faults_) gpu_->fault_words().give_back(fault.word);
}

void Faults::raise() const {
  const Fault* first = nullptr;
  std::uint64_t found = 0;
  for (const auto& fault : faults_) {
    const std::uint64_t word = std::exchange(*const_cast<volatile std::uint64_t*>(fault.word), 0);
    if (word == 0 || first != nullptr) continue;
    first = &fault;
    found = word;
  }
  if (first != nullptr) first->raise(found);
}

void HostErrors::run(const Step& step, void* const* bindings) noexcept {
  if (failed_) return;
  try {
    step.run(bindings);
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    if (error_ == nullptr) error_ = std::current_exception();
    failed_ = true;
  }
}

std::exception_ptr HostErrors::take() {
  if (!failed_) return nullptr;
  const std::scoped_lock lock(mutex_);
  failed_ = false;
  return std::exchange(error_, nullptr);
}

CudaStream::CudaStream(std::shared_ptr<Gpu> gpu, Kind kind) : gpu_(std::move(gpu)), kind_(kind) {
  const CurrentContext current(gpu_->context());
  check(driver().cuStreamCreate(&stream_, CU_STREAM_DEFAULT), "making a stream");
}

CudaStream::~CudaStream() {
  const CurrentContext current(gpu_->context());
  const Driver& cuda = driver();
  if (kind_ != Kind::foreign) cuda.cuStreamSynchronize(stream_);
  for (const CUevent event : lane_.copied) cuda.cuEventDestroy(event);
  if (lane_.passed != nullptr) cuda.cuEventDestroy(lane_.passed);
  if (lane_.stream != nullptr) cuda.cuStreamDestroy(lane_.stream);
  if (kind_ != Kind::foreign) cuda.cuStreamDestroy(stream_);
}

void CudaStream::synchronize() {
  {
    const CurrentContext current(gpu_->context());
    check(driver().cuStreamSynchronize(stream_), "the GPU's work");
  }
  const std::exception_ptr host = host_errors_.take(), data = data_error();
  if (host != nullptr) std::rethrow_exception(host);
  if (data != nullptr) std::rethrow_exception(data);
}

std::exception_ptr CudaStream::data_error() {
  if (!watching_) return nullptr;
  std::exception_ptr first;
  const std::scoped_lock lock(mutex_);
  for (const auto& faults : watched_) {
    try {
      faults->raise();
    } catch (...) {
      if (first == nullptr) first = std::current_exception();
    }
  }
  watched_.clear();
  watching_ = false;
  return first;
}

bool CudaStream::query() const {
  const CurrentContext current(gpu_->context());
  const CUresult result = driver().cuStreamQuery(stream_);
  if (result == CUDA_ERROR_NOT_READY) return false;
  check(result, "asking for a stream");
  return true;
}

void CudaStream::record(Event& event) {
  const CurrentContext current(gpu_->context());
  check(driver().cuEventRecord(static_cast<CudaEvent&>(event).get(), stream_), "recording an event");
}

void CudaStream::wait(const Event& event) {
  const CurrentContext current(gpu_->context());
  check(driver().cuStreamWaitEvent(stream_, static_cast<const CudaEvent&>(event).get(), CU_EVENT_WAIT_DEFAULT), "waiting for an event");
}

void CudaStream::watch(const std::shared_ptr<const Faults>& faults) {
  const std::scoped_lock lock(mutex_);
  if (std::find(watched_.begin(), watched_.end(), faults) == watched_.end()) watched_.push_back(faults);
  watching_ = true;
}

}  // namespace reprise::device::cuda
