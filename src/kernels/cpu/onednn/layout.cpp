#include "kernels/cpu/onednn/layout.h"

namespace reprise::kernels::cpu {

using dnnl::memory;

memory::desc plain(const OperandRef& x, bool channels_last) {
  using tag = memory::format_tag;
  constexpr tag kRows[] = {tag::ncw, tag::nchw, tag::ncdhw}, kLast[] = {tag::nwc, tag::nhwc, tag::ndhwc};
  return {dims_of(x), *data_type(x.dtype), (channels_last ? kLast : kRows)[x.rank - 3]};
}

memory::dims padding_behind(const OperandRef& x, const OperandRef& y, std::span<const std::int64_t> window, std::span<const std::int64_t> stride,
                            std::span<const std::int64_t> padding, std::span<const std::int64_t> dilation) {
  memory::dims behind;
  for (std::size_t d = 0; d < stride.size(); ++d)
    behind.push_back((y.sizes[d + 2] - 1) * stride[d] + (window[d] - 1) * dilation[d] + 1 - x.sizes[d + 2] - padding[d]);
  return behind;
}

}  // namespace reprise::kernels::cpu
