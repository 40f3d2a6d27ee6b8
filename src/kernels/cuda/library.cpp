// What the library exports: device/cuda_library.h says who calls it.
#include "device/cuda/device.h"
#include "device/cuda_library.h"
#include "kernels/cuda/choices.h"
#include "kernels/cuda/step.h"
#include "kernels/cuda/tuner.h"
#include "kernels/provider.h"

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

REPRISE_EXPORT void reprise_cuda_step_tuner(const reprise::device::DevicePtr& device, const reprise::kernels::TuningOptions& options,
                                            std::function<void(const reprise::kernels::StepSpec&)>* tuner) {
  using reprise::kernels::cuda::Tuner;
  auto made = std::make_shared<Tuner>(std::dynamic_pointer_cast<reprise::device::cuda::CudaDevice>(device), options);
  *tuner = [made = std::move(made)](const reprise::kernels::StepSpec& spec) { made->tune(spec); };
}

REPRISE_EXPORT void reprise_cuda_choices(const reprise::device::DevicePtr& device, std::string* text) {
  *text = static_cast<const reprise::device::cuda::CudaDevice&>(*device).gpu()->service<reprise::kernels::cuda::Choices>().text();
}

REPRISE_EXPORT std::size_t reprise_cuda_add_choices(const reprise::device::DevicePtr& device, std::string_view text) {
  return static_cast<const reprise::device::cuda::CudaDevice&>(*device).gpu()->service<reprise::kernels::cuda::Choices>().add(text);
}

}  // extern "C"
