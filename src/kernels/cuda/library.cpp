// What the library exports: device/cuda_library.h says who calls it.
#include "device/cuda/device.h"
#include "device/cuda/shared_library.h"
#include "device/cuda_library.h"
#include "kernels/cuda/ahead.h"
#include "kernels/cuda/choices.h"
#include "kernels/cuda/step.h"
#include "kernels/cuda/tuner.h"
#include "kernels/provider.h"

#define REPRISE_EXPORT __attribute__((visibility("default")))

extern "C" {

extern const int reprise_cuda_version REPRISE_EXPORT;
const int reprise_cuda_version = reprise::device::kCudaLibraryVersion;

REPRISE_EXPORT void reprise_cuda_open(int index, reprise::device::DevicePtr* device) { *device = reprise::device::cuda::open(index); }

// device/current.h
REPRISE_EXPORT int reprise_cuda_count() { return reprise::device::cuda::device_count(); }
REPRISE_EXPORT int reprise_cuda_current() { return reprise::device::cuda::current_device(); }
REPRISE_EXPORT bool reprise_cuda_select(int index, void** before) { return reprise::device::cuda::select(index, before); }
REPRISE_EXPORT void reprise_cuda_restore(void* before) { reprise::device::cuda::restore(before); }

REPRISE_EXPORT void reprise_cuda_step_maker(const reprise::device::DevicePtr& device, reprise::kernels::StepMaker* maker) {
  *maker = [gpu = static_cast<const reprise::device::cuda::CudaDevice&>(*device).gpu()](const reprise::kernels::StepSpec& spec) {
    return reprise::kernels::cuda::make_cuda_step(*gpu, spec);
  };
}

/// Steps of a GPU that is not there: their kernels are compiled at once, none can run.
REPRISE_EXPORT void reprise_cuda_offline_step_maker(const char* architecture, reprise::kernels::StepMaker* maker) {
  *maker = reprise::kernels::cuda::compiling_step_maker(architecture);
}

// kernels/ahead.h
REPRISE_EXPORT void reprise_cuda_ahead_of_time(const char* architecture, std::unique_ptr<reprise::kernels::AheadOfTime>* made) {
  *made = reprise::kernels::cuda::make_ahead_of_time(std::string(architecture));
}
REPRISE_EXPORT void reprise_cuda_ahead_of_sections(std::span<const reprise::plan::Section> sections, std::unique_ptr<reprise::kernels::AheadOfTime>* made) {
  *made = reprise::kernels::cuda::make_ahead_of_time(sections);
}
REPRISE_EXPORT void reprise_cuda_ahead_of_device(const reprise::device::DevicePtr& device, std::unique_ptr<reprise::kernels::AheadOfTime>* made) {
  *made = reprise::kernels::cuda::make_ahead_of_time(static_cast<const reprise::device::cuda::CudaDevice&>(*device).gpu());
}
REPRISE_EXPORT void reprise_cuda_load_sections(const reprise::device::DevicePtr& device, std::span<const reprise::plan::Section> sections,
                                               bool allow_recompile) {
  reprise::kernels::cuda::load_sections(*static_cast<const reprise::device::cuda::CudaDevice&>(*device).gpu(), sections, allow_recompile);
}
REPRISE_EXPORT void reprise_cuda_program_counts(const reprise::device::DevicePtr& device, reprise::kernels::ProgramCounts* counts) {
  const auto all = static_cast<const reprise::device::cuda::CudaDevice&>(*device).gpu()->programs().counts();
  *counts = {all.compiled, all.loaded, reprise::device::cuda::LibraryTimer::milliseconds()};
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
