#include "reprise/tensor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "tensor/strided_copy.h"

namespace reprise {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMaxBytes = std::size_t{1} << 40;  // more is a mistake, whatever the system would promise

std::size_t bytes_of(std::int64_t elements, DType dtype) {
  std::size_t bytes = 0;
  const bool overflow = __builtin_mul_overflow(static_cast<std::size_t>(elements), item_size(dtype), &bytes);
  REPRISE_CHECK(!overflow && bytes <= kMaxBytes, OutOfMemory, "[tensor/empty] tensor too large (got {} elements of {}, limit {} bytes)", elements, name(dtype),
                kMaxBytes);
  return bytes;
}

/// Whole cache lines, at least one, so that every tensor has an address.
std::shared_ptr<void> allocate_host(std::size_t bytes) {
  const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded);
  REPRISE_CHECK(memory != nullptr, OutOfMemory, "[tensor/empty] host memory could not be had (want {} bytes)", rounded);
  return {memory, std::free};
}

/// Storage of a blob: what runs when its last user goes.
struct Borrowed {
  explicit Borrowed(std::function<void()> f) : release(std::move(f)) {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() {
    if (release) release();
  }
  std::function<void()> release;
};

/// One more than the largest element index that a view reaches, 0 for an empty one, -1 when that leaves 64 bits.
std::int64_t extent(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::int64_t step = 0;
    if (sizes[i] == 0) return 0;
    if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &step) || __builtin_add_overflow(last, step, &last)) return -1;
  }
  return last == INT64_MAX ? -1 : last + 1;
}

void check_strides(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) {
  REPRISE_CHECK(strides.size() == sizes.size(), InvalidArgument, "[tensor/strides] number of strides differs from the rank (got {}, want {})", strides.size(),
                sizes.size());
  for (std::int64_t stride : strides) REPRISE_CHECK(stride >= 0, InvalidArgument, "[tensor/strides] negative stride (got {})", stride);
}

void require_host(const Tensor& t, const char* what) {
  REPRISE_CHECK(t.defined(), InvalidArgument, "[tensor/{}] the tensor is undefined", what);
  REPRISE_CHECK(t.device().type == DeviceType::cpu, DeviceError, "[tensor/{}] host memory only (got a tensor on {})", what, t.device().str());
}

}  // namespace

Tensor Tensor::empty(std::span<const std::int64_t> sizes, DType dtype, Device device) {
  REPRISE_CHECK(device.type == DeviceType::cpu, DeviceError, "[tensor/empty] no allocator for {}", device.str());
  Tensor t;
  t.capacity_bytes_ = bytes_of(tensor::checked_numel(sizes), dtype);
  t.storage_ = allocate_host(t.capacity_bytes_);
  t.data_ = t.storage_.get();
  t.sizes_.assign(sizes.begin(), sizes.end());
  t.strides_ = tensor::contiguous_strides(sizes);
  t.dtype_ = dtype;
  t.device_ = device;
  return t;
}

Tensor Tensor::zeros(std::span<const std::int64_t> sizes, DType dtype, Device device) {
  Tensor t = empty(sizes, dtype, device);
  std::memset(t.data_, 0, t.capacity_bytes_);
  return t;
}

Tensor Tensor::from_blob(void* data, std::span<const std::int64_t> sizes, DType dtype, std::span<const std::int64_t> strides, Device device,
                         std::function<void()> release) {
  const std::int64_t elements = tensor::checked_numel(sizes);
  Tensor t;
  t.sizes_.assign(sizes.begin(), sizes.end());
  t.strides_ = tensor::contiguous_strides(sizes);
  if (!strides.empty()) {
    check_strides(sizes, strides);
    t.strides_.assign(strides.begin(), strides.end());
  }
  const std::int64_t reach = extent(t.sizes_, t.strides_);
  REPRISE_CHECK(reach >= 0, InvalidArgument, "[tensor/from_blob] strides reach beyond 2^63 elements");
  REPRISE_CHECK(data != nullptr || elements == 0, InvalidArgument, "[tensor/from_blob] null data for {} elements", elements);
  t.capacity_bytes_ = bytes_of(reach, dtype);
  t.data_ = data;
  t.dtype_ = dtype;
  t.device_ = device;
  t.storage_ = std::make_shared<Borrowed>(std::move(release));
  return t;
}

std::int64_t Tensor::size(std::int64_t dim) const {
  const std::int64_t i = dim < 0 ? dim + rank() : dim;
  REPRISE_CHECK(i >= 0 && i < rank(), InvalidArgument, "[tensor/size] no such dimension (got {} of rank {})", dim, rank());
  return sizes_[static_cast<std::size_t>(i)];
}

std::int64_t Tensor::numel() const {
  if (!defined()) return 0;
  std::int64_t n = 1;
  for (std::int64_t size : sizes_) n *= size;
  return n;
}

bool Tensor::is_contiguous() const {
  if (numel() == 0) return true;
  std::int64_t expected = 1;
  for (std::size_t i = sizes_.size(); i-- > 0;) {
    if (sizes_[i] != 1 && strides_[i] != expected) return false;
    expected *= sizes_[i];
  }
  return true;
}

Tensor Tensor::as_strided(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides, std::int64_t offset) const {
  REPRISE_CHECK(defined(), InvalidArgument, "[tensor/as_strided] the tensor is undefined");
  static_cast<void>(tensor::checked_numel(sizes));
  check_strides(sizes, strides);
  const std::int64_t reach = extent(sizes, strides);
  const auto capacity = static_cast<std::int64_t>(capacity_bytes_ / item_size(dtype_));
  REPRISE_CHECK(offset >= 0 && reach >= 0 && offset <= capacity && reach <= capacity - offset, InvalidArgument,
                "[tensor/as_strided] view reaches outside the storage (got offset {}, sizes [{}], strides [{}]; {} elements are there)", offset,
                fmt::join(sizes, ", "), fmt::join(strides, ", "), capacity);
  Tensor t = *this;
  const std::size_t skipped = static_cast<std::size_t>(offset) * item_size(dtype_);
  t.data_ = static_cast<std::byte*>(data_) + skipped;
  t.capacity_bytes_ -= skipped;
  t.sizes_.assign(sizes.begin(), sizes.end());
  t.strides_.assign(strides.begin(), strides.end());
  return t;
}

Tensor Tensor::contiguous() const {
  if (is_contiguous() && defined()) return *this;
  return clone();
}

Tensor Tensor::clone() const {
  require_host(*this, "clone");
  Tensor t = empty(sizes_, dtype_, device_);
  tensor::copy_into(t, *this);
  return t;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  require_host(*this, "to");
  const Tensor source = contiguous();
  Tensor t = empty(sizes_, dtype, device_);
  tensor::convert_elements(t.data_, dtype, source.data_, dtype_, source.numel());
  return t;
}

}  // namespace reprise
