// Devices: one interface for streams, events, memory and command lists. tests/conformance is its executable contract; a back end passes it unchanged.
//
// Order: work given to one stream runs in the order given; streams are ordered against each other by events alone. Everything here is thread safe unless
// it says otherwise; using one stream from two threads at once needs no lock but leaves their order open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "device/command_list.h"
#include "reprise/device.h"

namespace reprise::device {

/// A point in a stream's work. An event that was never recorded counts as passed. Recording it again moves it; waits issued before keep the old point.
/// It may be destroyed while streams still refer to it.
class Event {
 public:
  virtual ~Event() = default;
  /// True when the stream has passed it.
  [[nodiscard]] virtual bool query() const = 0;
  /// Blocks the calling thread until then.
  virtual void synchronize() const = 0;
};

/// An ordered queue of work. No two that ever were have the same id. The CPU's default stream runs work inline, on the calling thread, before the call that
/// gives it returns.
class Stream {
 public:
  Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  /// Waits for the work given so far, unless the stream is another library's; errors of that work are lost with the stream.
  virtual ~Stream() = default;
  [[nodiscard]] std::uint64_t id() const { return id_; }
  /// Blocks until all work given so far is done. Rethrows the first error of a host step since the last call; what stood behind the step that
  /// failed was skipped (events were still signalled). The stream is usable afterwards.
  virtual void synchronize() = 0;
  /// True when nothing is pending.
  [[nodiscard]] virtual bool query() const = 0;
  /// Places `event` behind the work given so far.
  virtual void record(Event& event) = 0;
  /// Work given from now on starts after the point that `event` marks now.
  virtual void wait(const Event& event) = 0;
  [[nodiscard]] virtual bool is_default() const = 0;

 private:
  std::uint64_t id_;  // from 1
};

/// Address space whose first `committed()` bytes are memory. Growth moves nothing. Not thread safe. Nothing may be in flight in what is trimmed or destroyed.
class Reservation {
 public:
  virtual ~Reservation() = default;
  [[nodiscard]] virtual std::byte* base() const = 0;  // aligned to a page
  [[nodiscard]] virtual std::size_t reserved() const = 0;
  [[nodiscard]] virtual std::size_t committed() const = 0;
  /// Commits at least the first `bytes` bytes; contents of what is new are undefined. Throws OutOfMemory (also past `reserved()`), and is then as before.
  virtual void commit(std::size_t bytes) = 0;
  /// Gives back what lies behind the first `bytes` bytes (rounded up to a page).
  virtual void trim(std::size_t bytes) = 0;
};

struct MemorySize {
  std::size_t free_bytes = 0, total_bytes = 0;
};

enum class MemoryKind : std::uint8_t { device, pinned };  // pinned: host memory that device copies reach at full speed

/// An opened device. Streams, events and memory must be gone before it; hold it by shared_ptr.
class DeviceHandle {
 public:
  virtual ~DeviceHandle() = default;
  [[nodiscard]] virtual Device id() const = 0;
  /// For people: "CPU, 2 threads".
  [[nodiscard]] virtual std::string description() const = 0;
  /// True when the host reads and writes device memory directly.
  [[nodiscard]] virtual bool host_visible() const = 0;

  /// What the addresses in a binding table must be multiples of.
  [[nodiscard]] virtual std::size_t slot_alignment() const = 0;

  [[nodiscard]] virtual Stream& default_stream() = 0;
  [[nodiscard]] virtual std::unique_ptr<Stream> make_stream() = 0;
  /// A stream of another library, by its native handle (cudaStream_t), which stays that library's. Throws InvalidArgument where there is no such thing.
  [[nodiscard]] virtual std::unique_ptr<Stream> wrap_stream(void* native) = 0;
  [[nodiscard]] virtual std::unique_ptr<Event> make_event() = 0;
  /// Milliseconds between two passed events of this device. Throws DeviceError when one was never recorded or has not passed.
  [[nodiscard]] virtual double elapsed_ms(const Event& from, const Event& to) const = 0;

  /// Uninitialized, aligned to at least 64 bytes, never null, also for 0 bytes. Throws OutOfMemory. Does not synchronize.
  [[nodiscard]] virtual void* allocate(std::size_t bytes, MemoryKind kind = MemoryKind::device) = 0;
  /// `pointer` from `allocate` of this device and kind, or null; nothing may be in flight in it.
  virtual void deallocate(void* pointer, MemoryKind kind = MemoryKind::device) noexcept = 0;
  /// Of the whole machine or card, at this moment.
  [[nodiscard]] virtual MemorySize memory_size() const = 0;
  /// Gives back memory that was deallocated and is kept for later allocations.
  virtual void trim() noexcept = 0;
  /// Address space for `bytes` bytes, none committed. Throws OutOfMemory.
  [[nodiscard]] virtual std::unique_ptr<Reservation> reserve(std::size_t bytes) = 0;

  /// Between host, pinned and device memory in any combination. The ranges must not overlap and must stay valid until the stream has passed.
  virtual void copy(void* dst, const void* src, std::size_t bytes, Stream& stream) = 0;
  /// dst[i…] = src[i…] for all indices below `sizes`, both in memory that this device reads. Strides count elements of `item_size` bytes (1, 2, 4 or 8); those
  /// of `src` may be 0, elements of `dst` are distinct. The lists are read during the call, the memory until the stream has passed.
  virtual void copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                            std::span<const std::int64_t> sizes, std::size_t item_size, Stream& stream) = 0;
  /// `count` elements of `width` bytes (1, 2 or 4) at `dst` (so aligned) become the low bytes of `value`. Throws InvalidArgument on another width.
  virtual void fill(void* dst, std::uint32_t value, int width, std::size_t count, Stream& stream) = 0;

  [[nodiscard]] virtual std::unique_ptr<CommandList> make_command_list(StepList steps) = 0;
  /// Records without executing. Throws CaptureFailed where a step of somebody else's cannot be recorded.
  [[nodiscard]] virtual std::unique_ptr<Recording> record(std::shared_ptr<const CommandList> list, std::span<void* const> bindings) = 0;
};

using DevicePtr = std::shared_ptr<DeviceHandle>;

/// Opens a device. Throws DeviceError when this build or machine has none such.
DevicePtr open(Device device);

/// Owned memory of one kind.
class Allocation {
 public:
  Allocation() = default;
  Allocation(DevicePtr device, std::size_t bytes, MemoryKind kind = MemoryKind::device)
      : device_(std::move(device)), kind_(kind), data_(static_cast<std::byte*>(device_->allocate(bytes, kind))), size_(bytes) {}
  Allocation(Allocation&& other) noexcept
      : device_(std::move(other.device_)), kind_(other.kind_), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Allocation& operator=(Allocation&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(kind_, other.kind_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Allocation() {
    if (data_ != nullptr) device_->deallocate(data_, kind_);
  }
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  DevicePtr device_;
  MemoryKind kind_ = MemoryKind::device;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace reprise::device
