// The kernels of a device.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "device/device.h"
#include "kernels/kernel.h"

namespace reprise::kernels {

/// What makes steps for `device`; holds what it needs of it. Throws DeviceError for a device without kernels.
StepMaker step_maker(const device::DevicePtr& device);

/// What packed forms of weights are tagged with in a file (kernels/stored_forms.h). Empty: kernels of the device use none.
std::string packing_tag(const device::DevicePtr& device);
/// The forms in which the kernels that `spec` becomes on the CPU want the weights that it reads.
std::vector<Packing> weight_forms(const StepMaker& make, const StepSpec& spec);

struct TuningOptions {
  int level = 3;                 // CompileOptions::optimization_level
  std::size_t weight_bytes = 0;  // of the whole module: whether a call finds its weights in a cache
};

/// Measures, on the device, the kernels that could make a step of this spec; step makers of the device take the fastest from then on. Empty at level 0. Calls
/// may take seconds; not thread safe.
std::function<void(const StepSpec&)> step_tuner(const device::DevicePtr& device, const TuningOptions& options);
/// What has been measured on the device so far, as text lines.
std::string choices(const device::DevicePtr& device);
/// Takes over what `choices` gave, in this process or another; gives the number of lines that do not fit, or are of
/// the other kind of device.
std::size_t add_choices(const device::DevicePtr& device, std::string_view text);

}  // namespace reprise::kernels
