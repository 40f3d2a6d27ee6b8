// Copies between layouts outside of command lists: inputs that are not contiguous.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "device/cuda/gpu.h"

namespace reprise::device::cuda {

/// As DeviceHandle::copy_strided, with the GPU's context current.
void copy_strided(Gpu& gpu, void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                  std::span<const std::int64_t> sizes, std::size_t item_size, CUstream stream);

/// Requests the kernels that it uses.
void request_strided_copies(Gpu& gpu);

}  // namespace reprise::device::cuda
