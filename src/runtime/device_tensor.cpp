#include "runtime/device_tensor.h"

#include <memory>

#include "tensor/strided_copy.h"

namespace reprise::runtime {

Tensor empty_tensor(const device::DevicePtr& device, std::span<const std::int64_t> sizes, DType dtype) {
  if (device->host_visible()) return Tensor::empty(sizes, dtype, device->id());
  const std::size_t bytes = static_cast<std::size_t>(tensor::checked_numel(sizes)) * item_size(dtype);
  auto memory = std::make_shared<device::Allocation>(device, bytes);
  void* data = memory->data();
  return Tensor::from_blob(data, sizes, dtype, {}, device->id(), [owner = std::move(memory)]() mutable { owner.reset(); });
}

Tensor copy_to(const device::DevicePtr& device, const Tensor& source) {
  Tensor copy = empty_tensor(device, source.sizes(), source.dtype());
  device->copy(copy.data(), source.data(), source.nbytes(), device->default_stream());
  device->default_stream().synchronize();
  return copy;
}

}  // namespace reprise::runtime
