// The process-wide modes.
#pragma once

#include <cstdint>

#include "reprise/runtime.h"

namespace reprise::runtime {

[[nodiscard]] CudaGraphsMode cudagraphs_mode();
[[nodiscard]] bool multi_device_safe_mode();

/// A scope of the mode; its name for closing it. While scopes are open the newest counts, and setting the mode by hand sets it for that one; closing the last
/// restores what was on before the first.
[[nodiscard]] std::uint64_t open_cudagraphs_scope(CudaGraphsMode mode);
void close_cudagraphs_scope(std::uint64_t id) noexcept;

}  // namespace reprise::runtime
