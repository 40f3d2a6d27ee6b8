// The CPU, but it counts what it is asked for, can pretend to be a card with memory of its own, and can fail: any of its operations at the n-th time, or its
// recordings, which can also lie.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "reprise/error.h"
#include "support/forwarding_device.h"

namespace reprise::test {

class FaultyDevice final : public ForwardingDevice {
 public:
  enum Operation { allocation, commit, launch, recording, replay, copying, event, kOperations };
  /// `page`: what pages of its reservations are rounded to; the host's pages have a multiple of that.
  explicit FaultyDevice(bool has_own_memory = false, std::size_t page = 4096) : has_own_memory_(has_own_memory), page_(page) {}

  std::atomic<bool> refuse_recording = false;  // `record` throws
  std::atomic<int> lying_slot = -1;            // replays negate the first float behind this slot afterwards
  std::atomic<std::size_t> free_bytes = std::size_t{1} << 40, largest_reservation = free_bytes.load();

  /// Each kind of operation counts down from what is set here, and fails when it comes to 0; then never again.
  std::array<std::atomic<int>, kOperations> fail_at{};
  std::array<std::atomic<int>, kOperations> seen{};

  /// Held now: allocations, and pages committed.
  [[nodiscard]] std::size_t held(device::MemoryKind kind) const { return held_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] std::size_t committed() const { return committed_; }
  /// Device memory that is allocated or committed: now, and at most since this was asked last.
  [[nodiscard]] std::size_t held() const { return held(device::MemoryKind::device) + committed_; }
  [[nodiscard]] std::size_t take_peak() { return std::max(peak_.exchange(0), held()); }
  [[nodiscard]] int recordings() const { return recordings_; }

  [[nodiscard]] bool host_visible() const override { return !has_own_memory_; }
  [[nodiscard]] std::unique_ptr<device::Event> make_event() override {
    meet(event);
    return ForwardingDevice::make_event();
  }
  [[nodiscard]] void* allocate(std::size_t bytes, device::MemoryKind kind) override {
    if (fails(allocation)) throw OutOfMemory("[test/allocate] refused");
    void* pointer = ForwardingDevice::allocate(bytes, kind);
    const std::scoped_lock lock(mutex_);
    sizes_[pointer] = bytes;
    held_[static_cast<std::size_t>(kind)] += bytes;
    note_peak();
    return pointer;
  }
  void deallocate(void* pointer, device::MemoryKind kind) noexcept override {
    if (pointer != nullptr) {
      const std::scoped_lock lock(mutex_);
      const std::size_t bytes = sizes_.extract(pointer).mapped();
      held_[static_cast<std::size_t>(kind)] -= bytes;
      std::memset(pointer, 0xee, bytes);  // whoever still reads it shows
    }
    ForwardingDevice::deallocate(pointer, kind);
  }
  [[nodiscard]] device::MemorySize memory_size() const override { return {free_bytes, free_bytes}; }
  [[nodiscard]] std::unique_ptr<device::Reservation> reserve(std::size_t bytes) override {
    if (fails(allocation) || bytes > largest_reservation) throw OutOfMemory("[test/reserve] too much");
    return std::make_unique<Counted>(ForwardingDevice::reserve(bytes), *this);
  }
  void copy(void* dst, const void* src, std::size_t bytes, device::Stream& stream) override {
    meet(copying);
    ForwardingDevice::copy(dst, src, bytes, stream);
  }
  void copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                    std::span<const std::int64_t> sizes, std::size_t item_size, device::Stream& stream) override {
    meet(copying);
    ForwardingDevice::copy_strided(dst, dst_strides, src, src_strides, sizes, item_size, stream);
  }
  [[nodiscard]] std::unique_ptr<device::CommandList> make_command_list(device::StepList steps) override {
    return std::make_unique<FailingList>(ForwardingDevice::make_command_list(std::move(steps)), *this);
  }
  [[nodiscard]] std::unique_ptr<device::Recording> record(std::shared_ptr<const device::CommandList> list, std::span<void* const> bindings) override {
    if (refuse_recording) throw DeviceError("[test/record] refused");
    meet(recording);
    // The device below knows its own lists alone.
    return std::make_unique<Lying>(ForwardingDevice::record(static_cast<const FailingList&>(*list).inner(), bindings), *this);
  }

 private:
  void note_peak() {
    for (std::size_t now = held(), peak = peak_; now > peak && !peak_.compare_exchange_weak(peak, now);) {
    }
  }
  bool fails(Operation operation) {
    ++seen[operation];
    return fail_at[operation] > 0 && --fail_at[operation] == 0;
  }
  void meet(Operation operation) {
    if (fails(operation)) throw DeviceError("[test/device] failed");
  }

  class Counted final : public device::Reservation {
   public:
    Counted(std::unique_ptr<device::Reservation> inner, FaultyDevice& device) : inner_(std::move(inner)), device_(device) {}
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() override { device_.committed_ -= committed_; }
    [[nodiscard]] std::byte* base() const override { return inner_->base(); }
    [[nodiscard]] std::size_t reserved() const override { return inner_->reserved(); }
    [[nodiscard]] std::size_t committed() const override { return committed_; }
    void commit(std::size_t bytes) override {
      const std::size_t want = in_pages(bytes);
      if (want <= committed_) return;
      if (device_.fails(FaultyDevice::commit)) throw OutOfMemory("[test/commit] refused");
      inner_->commit(want);
      device_.committed_ += want - committed_;
      committed_ = want;
      device_.note_peak();
    }
    void trim(std::size_t bytes) override {
      const std::size_t want = in_pages(bytes);
      if (want >= committed_) return;
      std::memset(base() + want, 0xee, committed_ - want);
      inner_->trim(want);
      device_.committed_ -= committed_ - want;
      committed_ = want;
    }

   private:
    [[nodiscard]] std::size_t in_pages(std::size_t bytes) const { return (bytes + device_.page_ - 1) / device_.page_ * device_.page_; }

    std::unique_ptr<device::Reservation> inner_;
    std::size_t committed_ = 0;
    FaultyDevice& device_;
  };

  class FailingList final : public device::CommandList {
   public:
    FailingList(std::shared_ptr<const device::CommandList> inner, FaultyDevice& device) : inner_(std::move(inner)), device_(device) {}
    void enqueue(device::Stream& stream, void* const* bindings) const override {
      device_.meet(launch);
      inner_->enqueue(stream, bindings);
    }
    [[nodiscard]] const std::shared_ptr<const device::CommandList>& inner() const { return inner_; }
    [[nodiscard]] std::size_t size() const override { return inner_->size(); }
    [[nodiscard]] std::size_t scratch_bytes() const override { return inner_->scratch_bytes(); }

   private:
    std::shared_ptr<const device::CommandList> inner_;
    FaultyDevice& device_;
  };

  class Lying final : public device::Recording {
   public:
    Lying(std::unique_ptr<device::Recording> inner, FaultyDevice& device) : inner_(std::move(inner)), device_(device) { ++device_.recordings_; }
    Lying(const Lying&) = delete;
    Lying& operator=(const Lying&) = delete;
    ~Lying() override { --device_.recordings_; }
    void replay(device::Stream& stream, std::span<void* const> bindings) override {
      device_.meet(FaultyDevice::replay);
      inner_->replay(stream, bindings);
      const int slot = device_.lying_slot;
      if (slot >= 0) *static_cast<float*>(bindings[static_cast<std::size_t>(slot)]) *= -1;
    }
    [[nodiscard]] std::size_t patched_slots() const override { return inner_->patched_slots(); }
    [[nodiscard]] std::size_t size_bytes() const override { return inner_->size_bytes(); }

   private:
    std::unique_ptr<device::Recording> inner_;
    FaultyDevice& device_;
  };

  bool has_own_memory_;
  std::size_t page_;
  std::mutex mutex_;
  std::map<void*, std::size_t> sizes_;
  std::array<std::atomic<std::size_t>, 2> held_{};
  std::atomic<std::size_t> committed_ = 0, peak_ = 0;
  std::atomic<int> recordings_ = 0;
};

}  // namespace reprise::test
