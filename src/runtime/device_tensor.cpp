#include "runtime/device_tensor.h"

#include <memory>

#include "reprise/runtime.h"
#include "tensor/strided_copy.h"

namespace reprise::runtime {

Tensor empty_tensor(const device::DevicePtr& device, std::span<const std::int64_t> sizes, DType dtype) {
  if (device->id().type == DeviceType::cpu) return Tensor::empty(sizes, dtype, device->id());
  const std::size_t bytes = static_cast<std::size_t>(tensor::checked_numel(sizes)) * item_size(dtype);
  auto memory = std::make_shared<device::Allocation>(device, bytes);
  void* data = memory->data();
  return Tensor::from_blob(data, sizes, dtype, {}, device->id(), [owner = std::move(memory)]() mutable { owner.reset(); });
}

namespace {

/// A contiguous copy on the same device.
Tensor pack(const device::DevicePtr& device, const Tensor& source) {
  Tensor packed = empty_tensor(device, source.sizes(), source.dtype());
  device->copy_strided(packed.data(), packed.strides(), source.data(), source.strides(), source.sizes(), item_size(source.dtype()), device->default_stream());
  device->default_stream().synchronize();
  return packed;
}

}  // namespace

Tensor empty(std::span<const std::int64_t> sizes, DType dtype, Device device) {
  return device.type == DeviceType::cpu ? Tensor::empty(sizes, dtype, device) : empty_tensor(device::open(device), sizes, dtype);
}

Tensor copy_to(const Tensor& source, Device device) {
  // Between two devices: through the host, since not every pair reaches each other's memory.
  if (source.device() != device && source.device().type != DeviceType::cpu && device.type != DeviceType::cpu)
    return copy_to(copy_to(source, Device::cpu()), device);
  // The device that is not the host copies in both directions.
  const auto copier = device::open(device.type == DeviceType::cpu ? source.device() : device);
  const bool strided = !source.is_contiguous();
  const bool on_host = source.device().type == DeviceType::cpu;
  const Tensor packed = !strided ? source : on_host ? source.contiguous() : pack(device::open(source.device()), source);
  Tensor copy = empty(source.sizes(), source.dtype(), device);
  copier->copy(copy.data(), packed.data(), packed.nbytes(), copier->default_stream());
  copier->default_stream().synchronize();
  return copy;
}

Tensor copy_to(const device::DevicePtr& device, const Tensor& source) {
  Tensor copy = empty_tensor(device, source.sizes(), source.dtype());
  device->copy(copy.data(), source.data(), source.nbytes(), device->default_stream());
  device->default_stream().synchronize();
  return copy;
}

}  // namespace reprise::runtime
