// A stand-in for the CUDA half: two GPUs whose memory and kernels are the host's, whose uses are counted, and which fail when they are told to.
// REPRISE_CUDA_LIBRARY names it to the runtime.
#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "base/check.h"
#include "device/cpu/cpu_stream.h"
#include "device/cuda_library.h"
#include "kernels/kernel.h"
#include "support/faulty_device.h"

namespace {

using namespace reprise;

constexpr int kGpus = 2;
std::array<std::atomic<std::uint64_t>, kGpus> uses;
thread_local int current = 0;

void check_index(int index) { REPRISE_CHECK(index >= 0 && index < kGpus, DeviceError, "[device/open] there is no such CUDA GPU (got cuda:{})", index); }

/// Its memory. Small pages, so that every weight counts, and no room to grow in place.
std::shared_ptr<test::FaultyDevice> make_card() {
  auto card = std::make_shared<test::FaultyDevice>(true, 256);
  card->largest_reservation = std::size_t{40} << 20;
  return card;
}
const std::shared_ptr<test::FaultyDevice>& card(int index) {
  static const auto& cards = *new std::array{make_card(), make_card()};
  return cards[static_cast<std::size_t>(index)];
}

class FakeGpu final : public test::ForwardingDevice {
 public:
  explicit FakeGpu(int index) : ForwardingDevice(card(index)), index_(index) { ++uses[static_cast<std::size_t>(index)]; }
  [[nodiscard]] Device id() const override { return Device::cuda(index_); }
  [[nodiscard]] bool host_visible() const override { return false; }
  /// Late, as on a busy GPU: who lets go of the memory too early is found out.
  void copy(void* dst, const void* src, std::size_t bytes, device::Stream& stream) override {
    if (!stream.is_default()) static_cast<device::cpu::CpuStream&>(stream).enqueue([] { std::this_thread::sleep_for(std::chrono::microseconds(300)); });
    ForwardingDevice::copy(dst, src, bytes, stream);
  }

 protected:
  [[nodiscard]] device::DeviceHandle& inner() override {
    ++uses[static_cast<std::size_t>(index_)];
    return ForwardingDevice::inner();
  }

 private:
  int index_;
};

}  // namespace

#define REPRISE_EXPORT __attribute__((visibility("default")))
extern "C" {

extern const int reprise_cuda_version REPRISE_EXPORT;
const int reprise_cuda_version = reprise::device::kCudaLibraryVersion;

REPRISE_EXPORT void reprise_cuda_open(int index, device::DevicePtr* device) {
  check_index(index);
  *device = std::make_shared<FakeGpu>(index);
}
REPRISE_EXPORT int reprise_cuda_count() { return kGpus; }
REPRISE_EXPORT int reprise_cuda_current() { return current; }
REPRISE_EXPORT bool reprise_cuda_select(int index, void** before) {
  check_index(index);
  *before = reinterpret_cast<void*>(static_cast<std::intptr_t>(current));
  return std::exchange(current, index) != index;
}
REPRISE_EXPORT void reprise_cuda_restore(void* before) { current = static_cast<int>(reinterpret_cast<std::intptr_t>(before)); }
REPRISE_EXPORT void reprise_cuda_step_maker(const device::DevicePtr&, kernels::StepMaker* maker) { *maker = kernels::make_reference_step; }
REPRISE_EXPORT test::FaultyDevice* reprise_cuda_fake_card(int index) { return card(index).get(); }
/// How often something was asked of GPU `index`.
REPRISE_EXPORT std::uint64_t reprise_cuda_fake_uses(int index) { return uses[static_cast<std::size_t>(index)]; }

}  // extern "C"
