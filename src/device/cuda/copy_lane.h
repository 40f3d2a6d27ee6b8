// Copies from the host beside a stream's kernels, for one command list as it is enqueued.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <mutex>

#include "device/cuda/stream.h"

namespace reprise::device::cuda {

/// Has the stream's lane to itself. With the GPU's context current. Where enqueueing ends early, by an exception, the copies that were begun are waited for.
class CopyLane {
 public:
  CopyLane(CudaStream& stream, int copies);
  CopyLane(const CopyLane&) = delete;
  CopyLane& operator=(const CopyLane&) = delete;
  ~CopyLane();

  /// The copy number `index` starts behind what stands in the stream now.
  void copy(std::size_t index, CUdeviceptr to, CUdeviceptr from, std::size_t bytes);
  /// What is given to the stream from now on starts behind it.
  void wait_for(std::size_t index);
  /// Something was given to the stream.
  void passed_work() { is_marked_ = false; }
  /// The stream has been told to wait for every copy.
  void finish() { finished_ = true; }

 private:
  CudaStream& stream_;
  CudaStream::Lane& lane_;
  std::scoped_lock<std::mutex> lock_;
  bool is_marked_ = false;  // lane_.passed stands behind all work of the stream, and the lane waits for it
  bool finished_ = false;
};

}  // namespace reprise::device::cuda
