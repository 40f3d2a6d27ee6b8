// How long each command of a call takes, measured one by one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "device/device.h"
#include "plan/plan.h"

namespace reprise::exec {

/// Fed by ExecutionContext::run, one call after the other. On a GPU a command is measured as a recording of several copies of its step, so that launching costs
/// nothing, and with whatever lies in its caches; what a command changes in place is put back and computed once more.
class Profiler {
 public:
  explicit Profiler(device::DevicePtr device);

  struct Times {
    const plan::Command* command = nullptr;
    int runs = 0;                      // in the last call
    std::vector<double> microseconds;  // by call: of all its runs together
    [[nodiscard]] double median() const;
  };
  /// In order of position; commands that never ran are missing.
  [[nodiscard]] std::vector<Times> times() const;
  void begin_call();
  /// Forgets the calls so far: they warmed up.
  void forget();

  /// Copies of a command's step to be measured.
  [[nodiscard]] int copies() const { return copies_; }
  struct Bytes {
    void* data = nullptr;
    std::size_t size = 0;
  };
  /// Runs a command's `copies` steps, and `once` behind them where these change what they read, which is at `in_place`.
  void run(const plan::Command& command, const std::shared_ptr<const device::CommandList>& copies, const device::CommandList& once,
           std::span<const Bytes> in_place, device::Stream& stream, std::span<void* const> bindings);

 private:
  device::DevicePtr device_;
  int copies_;
  std::unique_ptr<device::Event> begin_, end_;
  std::map<std::int32_t, Times> times_;  // by position
};

}  // namespace reprise::exec
