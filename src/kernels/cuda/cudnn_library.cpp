#include "kernels/cuda/cudnn_library.h"

#include <algorithm>

#include "device/cuda/shared_library.h"

namespace reprise::kernels::cuda {

CudnnLibrary::CudnnLibrary(Gpu& gpu) {
  if (gpu.context() == nullptr) return;
  try {
    library_ = device::cuda::open_shared_library("cuDNN", {"libcudnn.so.9"});
  } catch (const DeviceError&) {
    return;  // our own kernels do its work
  }
#define REPRISE_FIND(name) device::cuda::find_function(name, library_, "cuDNN", "cudnn" #name)
  REPRISE_FIND(Create);
  REPRISE_FIND(SetStream);
  REPRISE_FIND(GetErrorString);
  REPRISE_FIND(GetLastErrorString);
  REPRISE_FIND(GetVersion);
  REPRISE_FIND(BackendCreateDescriptor);
  REPRISE_FIND(BackendDestroyDescriptor);
  REPRISE_FIND(BackendSetAttribute);
  REPRISE_FIND(BackendGetAttribute);
  REPRISE_FIND(BackendFinalize);
  REPRISE_FIND(BackendExecute);
#undef REPRISE_FIND
}

void CudnnLibrary::check(cudnnStatus_t status, const char* what) const {
  if (status == CUDNN_STATUS_SUCCESS) [[likely]]
    return;
  std::string details(512, '\0');
  GetLastErrorString(details.data(), details.size());
  details.resize(std::min(details.find('\0'), details.size()));
  REPRISE_FAIL(DeviceError, "[kernels/conv] {} failed ({}: {})", what, GetErrorString(status), details);
}

cudnnHandle_t CudnnLibrary::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      const cudnnHandle_t handle = idle_.back();
      idle_.pop_back();
      return handle;
    }
  }
  const device::cuda::LibraryTimer timer;
  cudnnHandle_t handle = nullptr;
  check(Create(&handle), "cudnnCreate");
  return handle;
}

void CudnnLibrary::give_back(cudnnHandle_t handle) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(handle);
}

std::int64_t CudnnDescriptor::count(cudnnBackendAttributeName_t name) const {
  std::int64_t n = 0;
  library_->check(library_->BackendGetAttribute(descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, nullptr), "cudnnBackendGetAttribute");
  return n;
}

std::size_t CudnnDescriptor::read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t room, void* to) const {
  std::int64_t n = 0;
  library_->check(library_->BackendGetAttribute(descriptor_, name, type, static_cast<std::int64_t>(room), &n, to), "cudnnBackendGetAttribute");
  return std::min(room, static_cast<std::size_t>(n));
}

std::vector<CudnnDescriptor> CudnnDescriptor::descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type, std::int64_t most) const {
  std::vector<CudnnDescriptor> all;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < most; ++i) {
    all.emplace_back(*library_, type);
    raw.push_back(all.back().get());
  }
  std::int64_t n = 0;
  if (most > 0)
    library_->check(library_->BackendGetAttribute(descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &n, raw.data()), "cudnnBackendGetAttribute");
  all.erase(all.begin() + static_cast<std::ptrdiff_t>(std::min(n, most)), all.end());
  return all;
}

}  // namespace reprise::kernels::cuda
