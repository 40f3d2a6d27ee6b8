// What the library exports: device/cuda_library.h says who calls it.
#include "device/cuda/device.h"
#include "device/cuda_library.h"
#include "kernels/cuda/step.h"
#include "kernels/kernel.h"

#define REPRISE_EXPORT __attribute__((visibility("default")))

extern "C" {

extern const int reprise_cuda_version REPRISE_EXPORT;
const int reprise_cuda_version = reprise::device::kCudaLibraryVersion;

REPRISE_EXPORT void reprise_cuda_open(int index, reprise::device::DevicePtr* device) { *device = reprise::device::cuda::open(index); }

REPRISE_EXPORT void reprise_cuda_step_maker(const reprise::device::DevicePtr& device, reprise::kernels::StepMaker* maker) {
  *maker = [gpu = static_cast<const reprise::device::cuda::CudaDevice&>(*device).gpu()](const reprise::kernels::StepSpec& spec) {
    return reprise::kernels::cuda::make_cuda_step(*gpu, spec);
  };
}

/// Steps of a GPU that is not there: their kernels are compiled at once, none can run.
REPRISE_EXPORT void reprise_cuda_offline_step_maker(const char* architecture, reprise::kernels::StepMaker* maker) {
  *maker = [gpu = reprise::device::cuda::Gpu::offline(architecture)](const reprise::kernels::StepSpec& spec) {
    return reprise::kernels::cuda::make_cuda_step(*gpu, spec);
  };
}

}  // extern "C"
