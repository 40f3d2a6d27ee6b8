// Runtime modes, and tensors on other devices. Part of the runtime library.
#pragma once

#include <cstdint>
#include <span>

#include "reprise/device.h"
#include "reprise/dtype.h"
#include "reprise/tensor.h"

namespace reprise::runtime {

/// The numbers are part of the interface.
enum class CudaGraphsMode : std::uint8_t { standard = 0, subgraph_cudagraphs = 1, whole_graph_cudagraphs = 2 };

/// Process-wide. On: each call is recorded at the first sight of its shapes and replayed from then on, on a GPU as one graph launch for each stretch of work
/// that needs no value on the host; results are the same. Switches between standard and subgraph_cudagraphs. A call sees the mode as it was when it began.
void set_cudagraphs_mode(bool on);
/// True in mode subgraph_cudagraphs alone.
[[nodiscard]] bool get_cudagraphs_mode();
/// True in mode whole_graph_cudagraphs alone.
[[nodiscard]] bool get_whole_cudagraphs_mode();

/// Uninitialized, contiguous memory on any device. Throws DeviceError, OutOfMemory.
[[nodiscard]] Tensor empty(std::span<const std::int64_t> sizes, DType dtype, Device device);
/// A contiguous copy on `device` of a tensor anywhere; complete on return. Throws DeviceError, OutOfMemory.
[[nodiscard]] Tensor copy_to(const Tensor& source, Device device);

}  // namespace reprise::runtime
