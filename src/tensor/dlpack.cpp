#include "tensor/dlpack.h"

#include <array>

#include "base/check.h"
#include "reprise/tensor.h"

namespace reprise {
namespace {

struct TypeCode {
  DType dtype;
  DLDataTypeCode code;
};

constexpr auto kTypes = std::to_array<TypeCode>({{DType::boolean, kDLBool},
                                                 {DType::u8, kDLUInt},
                                                 {DType::i8, kDLInt},
                                                 {DType::i16, kDLInt},
                                                 {DType::i32, kDLInt},
                                                 {DType::i64, kDLInt},
                                                 {DType::f16, kDLFloat},
                                                 {DType::bf16, kDLBfloat},
                                                 {DType::f32, kDLFloat},
                                                 {DType::f64, kDLFloat},
                                                 {DType::u16, kDLUInt},
                                                 {DType::u32, kDLUInt},
                                                 {DType::u64, kDLUInt}});

DType dtype_of(DLDataType type) {
  for (const TypeCode& known : kTypes) {
    if (known.code == type.code && item_size(known.dtype) * 8 == type.bits && type.lanes == 1) return known.dtype;
  }
  REPRISE_FAIL(InvalidArgument, "[tensor/dlpack] element type not supported (got code {}, {} bits, {} lanes)", type.code, type.bits, type.lanes);
}

Device device_of(DLDevice device) {
  switch (static_cast<int>(device.device_type)) {
    case kDLCPU:
      return Device::cpu(device.device_id);
    case kDLCUDAHost:
      return Device::cpu();
    case kDLCUDA:
    case kDLCUDAManaged:
      return Device::cuda(device.device_id);
    default:
      REPRISE_FAIL(InvalidArgument, "[tensor/dlpack] device not supported (got type {}, want CPU or CUDA)", static_cast<int>(device.device_type));
  }
}

/// What an exported view keeps alive.
struct Export {
  DLManagedTensor managed;
  Tensor tensor;
  std::vector<std::int64_t> sizes, strides;
};

}  // namespace

Tensor Tensor::from_dlpack(DLManagedTensor* managed) {
  REPRISE_CHECK(managed != nullptr, InvalidArgument, "[tensor/dlpack] null tensor");
  const DLTensor& t = managed->dl_tensor;
  const DType dtype = dtype_of(t.dtype);
  const Device device = device_of(t.device);
  REPRISE_CHECK(t.ndim >= 0 && (t.ndim == 0 || t.shape != nullptr), InvalidArgument, "[tensor/dlpack] no sizes for rank {}", t.ndim);
  const auto rank = static_cast<std::size_t>(t.ndim);
  void* data = t.data ? static_cast<std::byte*>(t.data) + t.byte_offset : nullptr;
  REPRISE_CHECK(reinterpret_cast<std::uintptr_t>(data) % item_size(dtype) == 0, InvalidArgument, "[tensor/dlpack] data is not aligned to its elements ({})",
                name(dtype));
  const std::span<const std::int64_t> strides = t.strides ? std::span<const std::int64_t>(t.strides, rank) : std::span<const std::int64_t>();
  // The deleter is armed only once nothing can throw any more: until then the tensor is the caller's.
  auto armed = std::make_shared<bool>(false);
  Tensor taken = from_blob(data, {t.shape, rank}, dtype, strides, device, [managed, armed] {
    if (*armed && managed->deleter) managed->deleter(managed);
  });
  *armed = true;
  return taken;
}

DLManagedTensor* Tensor::to_dlpack() const {
  REPRISE_CHECK(defined(), InvalidArgument, "[tensor/dlpack] the tensor is undefined");
  auto view = std::make_unique<Export>(Export{{}, *this, sizes_, strides_});
  DLTensor& t = view->managed.dl_tensor;
  t.data = data_;
  t.device = {device_.type == DeviceType::cuda ? kDLCUDA : kDLCPU, device_.index};
  t.ndim = static_cast<std::int32_t>(rank());
  t.dtype = {static_cast<std::uint8_t>(kTypes[static_cast<std::size_t>(dtype_)].code), static_cast<std::uint8_t>(item_size(dtype_) * 8), 1};
  t.shape = view->sizes.data();
  t.strides = view->strides.data();
  view->managed.manager_ctx = view.get();
  view->managed.deleter = [](DLManagedTensor* self) { delete static_cast<Export*>(self->manager_ctx); };
  return &view.release()->managed;
}

}  // namespace reprise
