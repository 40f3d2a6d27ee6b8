// The CUDA driver, opened at run time: libcuda.so.1 is linked by nothing, so that this library loads on machines without a GPU and says what is missing.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reprise::device::cuda {

// Every entry point that is used. The names are the header's macros, so that each is found in the version that its prototype describes.
// clang-format off
#define REPRISE_CUDA_DRIVER_FUNCTIONS(X) \
  X(cuInit) X(cuDriverGetVersion) X(cuGetErrorName) X(cuGetErrorString) X(cuDeviceGetCount) X(cuDeviceGet) X(cuDeviceGetName) X(cuDeviceGetAttribute) \
  X(cuDeviceTotalMem) X(cuDevicePrimaryCtxRetain) X(cuCtxGetCurrent) X(cuCtxSetCurrent) X(cuCtxGetDevice) X(cuCtxPushCurrent) X(cuCtxPopCurrent) \
  X(cuStreamCreate) X(cuStreamDestroy) X(cuStreamSynchronize) X(cuStreamQuery) X(cuStreamWaitEvent) X(cuStreamBeginCapture) \
  X(cuStreamBeginCaptureToGraph) X(cuStreamEndCapture) X(cuEventCreate) X(cuEventDestroy) \
  X(cuEventRecord) X(cuEventQuery) X(cuEventSynchronize) X(cuEventElapsedTime) X(cuMemPoolCreate) X(cuMemPoolDestroy) X(cuMemPoolSetAttribute) \
  X(cuMemPoolTrimTo) X(cuMemAllocFromPoolAsync) X(cuMemFreeAsync) X(cuMemHostAlloc) X(cuMemFreeHost) X(cuMemGetInfo) X(cuMemAddressReserve) \
  X(cuMemAddressFree) X(cuMemCreate) X(cuMemRelease) X(cuMemMap) X(cuMemUnmap) X(cuMemSetAccess) X(cuMemGetAllocationGranularity) X(cuMemcpyAsync) \
  X(cuMemsetD8Async) X(cuMemsetD16Async) X(cuMemsetD32Async) X(cuModuleLoadDataEx) X(cuModuleUnload) X(cuModuleGetFunction) X(cuFuncSetAttribute) \
  X(cuFuncGetAttribute) X(cuOccupancyMaxActiveBlocksPerMultiprocessor) X(cuLaunchKernelEx) X(cuLaunchHostFunc) X(cuTensorMapReplaceAddress) \
  X(cuGraphCreate) X(cuGraphDestroy) X(cuGraphAddKernelNode) X(cuGraphAddMemcpyNode) X(cuGraphAddMemsetNode) X(cuGraphAddHostNode) \
  X(cuGraphAddChildGraphNode) X(cuGraphKernelNodeSetAttribute) X(cuGraphAddDependencies) X(cuGraphInstantiateWithFlags) X(cuGraphUpload) X(cuGraphLaunch) \
  X(cuGraphExecDestroy) X(cuGraphExecKernelNodeSetParams) X(cuGraphExecMemcpyNodeSetParams) X(cuGraphExecMemsetNodeSetParams) \
  X(cuGraphExecChildGraphNodeSetParams) X(cuGraphGetNodes) X(cuGraphNodeGetType) X(cuGraphGetEdges) \
  X(cuGraphKernelNodeGetParams) X(cuGraphKernelNodeCopyAttributes)
// clang-format on

/// The driver's functions. `driver().cuInit(0)`.
struct Driver {
#define REPRISE_CUDA_DECLARE(name) decltype(&::name) name = nullptr;
  REPRISE_CUDA_DRIVER_FUNCTIONS(REPRISE_CUDA_DECLARE)
#undef REPRISE_CUDA_DECLARE
};

/// Opened and initialized at first use, by any thread. Throws DeviceError: no driver on this machine, one that is too old (got and want versions), no GPU.
const Driver& driver();

/// "CUDA_ERROR_INVALID_VALUE: invalid argument".
std::string error_text(CUresult result);
/// Throws OutOfMemory or DeviceError "[device/cuda] <what> failed (<error>)" unless `result` is CUDA_SUCCESS.
[[noreturn]] void fail(CUresult result, std::string_view what);
inline void check(CUresult result, std::string_view what) {
  if (result != CUDA_SUCCESS) [[unlikely]]
    fail(result, what);
}

/// As DeviceHandle::fill, with the context current.
void fill_memory(CUdeviceptr to, std::uint32_t value, int width, std::size_t count, CUstream stream);

/// Makes a context current for a scope and puts back what the calling thread had. Where that fails (the driver shuts down), so will what the scope calls.
class CurrentContext {
 public:
  explicit CurrentContext(CUcontext context) noexcept;
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;
  ~CurrentContext();

 private:
  bool pushed_ = false;
};

}  // namespace reprise::device::cuda
