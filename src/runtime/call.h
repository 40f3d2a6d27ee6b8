// One call of a module: symbols bound, a context taken, inputs where the plan expects them.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "exec/context_pool.h"
#include "exec/inline_vector.h"
#include "exec/profiler.h"
#include "runtime/arguments.h"
#include "runtime/devices.h"
#include "runtime/module_impl.h"

namespace reprise::runtime {

/// What a context is told of a call's modes.
[[nodiscard]] exec::ExecutionContext::RunOptions run_options(const CallModes& modes);

/// What a call goes by, read once.
struct CallStart {
  explicit CallStart(Module::Impl& impl) : recordings_epoch(impl.pool.recordings_epoch()), modes(impl.modes.now()) {}
  std::uint64_t recordings_epoch;  // before the modes were read
  CallModes modes;
};

class Call {
 public:
  /// Makes the module's device current, checks the arguments (arguments.h), takes the state's lock and a context, and binds the shapes; `place` follows.
  /// `stream`: where the call's work goes, without waiting for it; null: in the context's own, and `run` waits. `owner`: the bound call that calls.
  template <class Given>
  Call(Module::Impl& impl, std::span<const Given> arguments, device::Stream* stream = nullptr, std::uint64_t owner = 0)
      : Call(impl, CallStart(impl), arguments, stream, owner) {}
  template <class Given>
  Call(Module::Impl& impl, CallStart start, std::span<const Given> arguments, device::Stream* stream = nullptr, std::uint64_t owner = 0)
      : impl_(impl),
        on_device_(*impl.device),
        inputs_(check_arguments(*impl.plan, on_device_.placement(), arguments)),
        given_stream_(stream),
        owner_(owner),
        start_(std::move(start)),
        lease_(take_bound()),
        staged_(inputs_.size()),
        staged_outputs_(0) {
    begin();
  }
  /// Binds inputs. `outputs`: memory that the call will write and that others may know of, undefined ones among them are passed over. What a plan cannot read
  /// or write in place is staged in the context: inputs that are not contiguous, not aligned, not on the device, that overlap what the call writes, or mutated
  /// ones that overlap another input; outputs that are not aligned as the device wants it. Throws InvalidArgument for outputs on inputs that the call writes.
  void place(std::span<const Tensor> outputs);

  [[nodiscard]] const CallModes& modes() const { return start_.modes; }
  /// True for memory of an input that the call writes.
  [[nodiscard]] bool is_on_mutated_input(const Tensor& tensor) const;
  [[nodiscard]] exec::ExecutionContext& context() const { return *lease_; }
  /// The optimization profile that serves the call.
  [[nodiscard]] int profile() const { return profile_; }
  /// Something is read, or copied, before or behind the call.
  [[nodiscard]] bool is_staged() const;
  /// Where output `index` of the caller's is to be written.
  [[nodiscard]] void* output_address(std::size_t index) const { return staged_outputs_[index] != nullptr ? staged_outputs_[index] : outputs_[index].data(); }
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  /// Was never to be run: not counted as a call.
  void abandon();
  /// Executes, and writes staged outputs and mutated inputs back. With a `profiler` command by command.
  void run(exec::Profiler* profiler = nullptr);

 private:
  [[nodiscard]] exec::ContextPool::Lease take_bound();
  void begin();
  void check_outputs_apart_from_mutated() const;
  [[nodiscard]] bool is_on_host(const Tensor& tensor) const { return tensor.device().type == DeviceType::cpu && !impl_.device->host_visible(); }
  /// On a device whose memory this one may not read.
  [[nodiscard]] bool is_elsewhere(const Tensor& tensor) const { return tensor.device().type != DeviceType::cpu && tensor.device() != impl_.device->id(); }
  [[nodiscard]] bool is_placed_well(const Tensor& tensor) const;
  [[nodiscard]] std::optional<exec::StagingReason> must_stage(std::size_t input) const;
  void stage(std::size_t input, exec::StagingReason why, std::byte* copy);
  void write_back(std::size_t input);
  [[nodiscard]] device::Stream& stream() const { return given_stream_ != nullptr ? *given_stream_ : lease_->stream(); }

  Module::Impl& impl_;
  const OnDevice on_device_;
  const InputValues inputs_;
  std::span<const Tensor> outputs_;
  device::Stream* given_stream_;
  const std::uint64_t owner_;
  int profile_ = 0;
  const CallStart start_;
  std::unique_lock<std::mutex> state_lock_;
  exec::ContextPool::Lease lease_;
  bool done_ = false;
  exec::InlineVector<std::byte*, 16> staged_, staged_outputs_;  // per input, per output given; null: in place
};

}  // namespace reprise::runtime
