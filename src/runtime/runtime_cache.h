// The runtime cache's file: what was measured on a machine's devices, so that the next process need not. Text: a line with the format's name and a checksum of
// the rest, then lines `kind<TAB>content`, of which this version knows the kind "choice" (kernels/provider.h) and keeps the others.
#pragma once

#include <filesystem>

#include "device/device.h"

namespace reprise::runtime {

/// Reads under a shared lock. A file that is missing counts as empty; one that is not a runtime cache, or damaged, is left alone with a warning: it never
/// fails a call. Lines of other devices' names do no harm: a choice's key names its GPU.
void load_runtime_cache(const std::filesystem::path& path, const device::DevicePtr& device);
/// Writes what is there and what the device has measured since, under an exclusive lock, to a temporary that is then renamed: processes that save at once lose
/// nothing. Throws WriteError.
void save_runtime_cache(const std::filesystem::path& path, const device::DevicePtr& device);

}  // namespace reprise::runtime
