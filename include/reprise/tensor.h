// A tensor: dtype, sizes, strides and a reference to storage. Copying a Tensor copies the reference, never the data.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "reprise/device.h"
#include "reprise/dtype.h"

struct DLManagedTensor;  // dlpack.h, version 0.8

namespace reprise {

class Tensor {
 public:
  /// Undefined: no storage, `defined()` is false.
  Tensor() = default;

  /// Uninitialized, contiguous (row-major), 64-byte aligned memory on `device`. Sizes must be >= 0.
  /// Throws InvalidArgument on a negative size, OutOfMemory when the memory cannot be had.
  static Tensor empty(std::span<const std::int64_t> sizes, DType dtype, Device device = Device::cpu());
  static Tensor zeros(std::span<const std::int64_t> sizes, DType dtype, Device device = Device::cpu());

  /// Refers to memory of the caller; `release` (may be empty) runs when the last reference goes.
  /// `strides` count elements, may be 0 but not negative; empty means row-major.
  static Tensor from_blob(void* data, std::span<const std::int64_t> sizes, DType dtype, std::span<const std::int64_t> strides = {},
                          Device device = Device::cpu(), std::function<void()> release = {});

  /// Takes a DLPack tensor over (its deleter runs when the last reference goes). CPU and CUDA memory. Throws InvalidArgument on a dtype,
  /// lane count or device that Reprise does not take; the argument is then still the caller's.
  static Tensor from_dlpack(DLManagedTensor* managed);

  /// A DLPack view that shares this storage; the receiver calls its deleter once.
  [[nodiscard]] DLManagedTensor* to_dlpack() const;

  [[nodiscard]] bool defined() const { return storage_ != nullptr; }
  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] Device device() const { return device_; }
  [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(sizes_.size()); }
  [[nodiscard]] const std::vector<std::int64_t>& sizes() const { return sizes_; }
  [[nodiscard]] const std::vector<std::int64_t>& strides() const { return strides_; }  // elements
  [[nodiscard]] std::int64_t size(std::int64_t dim) const;                             // negative counts from the end
  [[nodiscard]] std::int64_t numel() const;
  /// Bytes of the elements, not of the storage.
  [[nodiscard]] std::size_t nbytes() const { return static_cast<std::size_t>(numel()) * item_size(dtype_); }

  /// Row-major with no gaps; true for empty tensors.
  [[nodiscard]] bool is_contiguous() const;

  /// Address of the first element (storage offset applied); null for an undefined tensor, unspecified for an empty one.
  [[nodiscard]] void* data() const { return data_; }
  template <class T>
  [[nodiscard]] T* data_as() const {
    return static_cast<T*>(data_);
  }

  /// A view of the same storage. `offset` counts elements from this tensor's first. Throws InvalidArgument when it would reach outside.
  [[nodiscard]] Tensor as_strided(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides, std::int64_t offset = 0) const;

  /// This tensor if it is contiguous, otherwise a contiguous copy (CPU tensors only; DeviceError otherwise).
  [[nodiscard]] Tensor contiguous() const;
  /// A contiguous copy with storage of its own (CPU tensors only).
  [[nodiscard]] Tensor clone() const;
  /// Element conversion with PyTorch's rules (float to integer truncates, to bool is != 0, to f16/bf16 rounds to nearest even). CPU only.
  [[nodiscard]] Tensor to(DType dtype) const;

  /// Keeps the storage alive; what aliases share.
  [[nodiscard]] const std::shared_ptr<void>& storage() const { return storage_; }

 private:
  std::shared_ptr<void> storage_;
  void* data_ = nullptr;
  std::size_t capacity_bytes_ = 0;  // from data_ to the end of the storage
  std::vector<std::int64_t> sizes_;
  std::vector<std::int64_t> strides_;
  DType dtype_ = DType::f32;
  Device device_;
};

}  // namespace reprise
