// Layouts that oneDNN has kernels for.
#pragma once

#include "kernels/cpu/onednn/library.h"
#include "kernels/packed.h"

namespace reprise::kernels::cpu {

/// A packed operand (kernels/packed.h), with the strides that oneDNN expects where sizes are 1.
dnnl::memory::desc plain(const OperandRef& x, bool channels_last);
/// Padding behind each spatial dimension that makes the output's sizes come out. Dilation counts from 1.
dnnl::memory::dims padding_behind(const OperandRef& x, const OperandRef& y, std::span<const std::int64_t> window, std::span<const std::int64_t> stride,
                                  std::span<const std::int64_t> padding, std::span<const std::int64_t> dilation);

}  // namespace reprise::kernels::cpu
