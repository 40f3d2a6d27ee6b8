#include "device/cuda/copy_lane.h"

#include "device/cuda/driver.h"

namespace reprise::device::cuda {
namespace {

CUevent make_event() {
  CUevent event = nullptr;
  check(driver().cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
  return event;
}

}  // namespace

CopyLane::CopyLane(CudaStream& stream, int copies) : stream_(stream), lane_(stream.lane()), lock_(lane_.mutex) {
  if (lane_.stream == nullptr) check(driver().cuStreamCreate(&lane_.stream, CU_STREAM_NON_BLOCKING), "making a stream");
  if (lane_.passed == nullptr) lane_.passed = make_event();
  lane_.copied.reserve(static_cast<std::size_t>(copies));
  while (lane_.copied.size() < static_cast<std::size_t>(copies)) lane_.copied.push_back(make_event());
}

CopyLane::~CopyLane() {
  if (!finished_) driver().cuStreamSynchronize(lane_.stream);
}

void CopyLane::copy(std::size_t index, CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  const Driver& cuda = driver();
  if (!is_marked_) {
    check(cuda.cuEventRecord(lane_.passed, stream_.get()), "recording an event");
    check(cuda.cuStreamWaitEvent(lane_.stream, lane_.passed, CU_EVENT_WAIT_DEFAULT), "waiting for an event");
    is_marked_ = true;
  }
  if (bytes > 0) check(cuda.cuMemcpyAsync(to, from, bytes, lane_.stream), "copying a weight");
  check(cuda.cuEventRecord(lane_.copied[index], lane_.stream), "recording an event");
}

void CopyLane::wait_for(std::size_t index) {
  check(driver().cuStreamWaitEvent(stream_.get(), lane_.copied[index], CU_EVENT_WAIT_DEFAULT), "waiting for an event");
}

}  // namespace reprise::device::cuda
