// Runtime modes, and tensors on other devices. Part of the runtime library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reprise/device.h"
#include "reprise/dtype.h"
#include "reprise/module.h"
#include "reprise/tensor.h"

namespace reprise::runtime {

/// The numbers are part of the interface.
enum class CudaGraphsMode : std::uint8_t { standard = 0, subgraph_cudagraphs = 1, whole_graph_cudagraphs = 2 };

/// Process-wide. On: each call is recorded at the first sight of its shapes and replayed from then on, on a GPU as one graph launch for each stretch of work
/// that needs no value on the host; results are the same. Switches between standard and subgraph_cudagraphs. A call sees the mode as it was when it began.
void set_cudagraphs_mode(bool on);
/// True in mode subgraph_cudagraphs alone.
[[nodiscard]] bool get_cudagraphs_mode();
/// True in mode whole_graph_cudagraphs alone.
[[nodiscard]] bool get_whole_cudagraphs_mode();

/// What becomes of a program, or a part of one, that cannot be recorded. piecewise: it runs unrecorded between recordings, and Module::stats() names it and
/// why.
enum class OnUncapturable : std::uint8_t { piecewise, error };

struct CudaGraphOptions {
  /// Instead of the module's own (Module::set_cuda_graph_strategy) while the scope is open.
  std::optional<CudaGraphStrategy> cuda_graph_strategy = std::nullopt;
  OnUncapturable on_uncapturable = OnUncapturable::piecewise;
  /// The same as on_uncapturable = error.
  bool require_full_graph = false;
  /// The first replay of each recording is compared with an unrecorded run, byte by byte. One that differs is dropped: the call returns what the unrecorded run
  /// gave, and its stage stays unrecorded (reason verify_mismatch) or, with on_uncapturable = error, the call throws Error.
  bool verify_first_replay = false;
  /// For each execution context: how many shape keys keep their recordings (at most sixteen), and how many bytes of these. The one used least goes first.
  std::size_t max_recordings = 16, max_recording_bytes = std::size_t{256} << 20;
  /// Batch sizes, ascending. A call with a batch between two of them runs at the larger one, so that few shapes are recorded: its first row is repeated behind
  /// the others, results are cut. Only where the plan proves that no row of the batch depends on another, and for calls that return new tensors; others run as
  /// they are, and Module::stats() counts why (unbucketed_by). Rows are computed as at the larger batch. Throws InvalidArgument unless they ascend from 1.
  std::vector<std::int64_t> buckets = {};
};

/// A module while a scope is open. Calling it is calling the module, which does the same: modes belong to the process or to the module. Closes when destroyed,
/// so by exceptions too. Movable; one thread at a time may move or close it, any number may call.
class ModuleScope {
 public:
  ModuleScope(Module module, std::function<void()> close) : module_(std::move(module)), close_(std::move(close)) {}
  ModuleScope(ModuleScope&& other) noexcept : module_(std::move(other.module_)), close_(std::exchange(other.close_, {})) {}
  ModuleScope& operator=(ModuleScope&&) = delete;
  ~ModuleScope() { close(); }

  std::vector<Argument> operator()(std::span<const Argument> inputs) const { return module_(inputs); }
  std::vector<Argument> operator()(std::span<const Tensor> inputs) const { return module_(inputs); }
  void run(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const { module_.run(inputs, outputs); }
  void enqueue(std::span<const Tensor> inputs, std::span<const Tensor> outputs, const Stream& stream) const { module_.enqueue(inputs, outputs, stream); }
  [[nodiscard]] const Module& module() const { return module_; }

  /// Once; later ones do nothing. Never throws. Waits for work that uses what the scope owns.
  void close() noexcept {
    if (const auto once = std::exchange(close_, {})) once();
  }

 private:
  Module module_;
  std::function<void()> close_;  // does not throw
};

class CudaGraphsScope : public ModuleScope {
 public:
  CudaGraphsScope(Module module, CudaGraphsMode mode, std::function<void()> close) : ModuleScope(std::move(module), std::move(close)), mode_(mode) {}
  /// subgraph_cudagraphs or whole_graph_cudagraphs.
  [[nodiscard]] CudaGraphsMode mode() const { return mode_; }
  /// Saves the module. A whole-graph wrapper cannot be saved: InvalidArgument.
  void save(const std::string& path) const;

 private:
  CudaGraphsMode mode_;
};

/// Records calls and replays them while the scope is open: in mode subgraph_cudagraphs, or whole_graph_cudagraphs when some part of the module fell back. On
/// exit the module's recordings are dropped and the mode is what it was. The mode is the process's: scopes of several modules may be open at once and may be
/// closed in any order and by any thread; the newest open one counts, and closing the last one restores what was on before the first. A call sees the modes as
/// they were when it began. Options hold for this module alone. With on_uncapturable = error throws ModeConflict when the module needs an output allocator or
/// an output allocator of the user's is on, and Error when it is not monolithically capturable; nothing is then changed.
[[nodiscard]] CudaGraphsScope enable_cudagraphs(const Module& module, const CudaGraphOptions& options = {});

/// Memory that a call needs for one tensor output.
struct OutputRequest {
  std::size_t index = 0;  // among the signature's outputs
  std::string_view name;  // for the time of the request
  DType dtype = DType::f32;
  Device device;
  std::size_t bytes = 0;
  /// The size depends on data and `bytes` is the most that it can be: offered before the call runs, so that results are written where they stay. Otherwise
  /// `bytes` is exact.
  bool is_bound = false;
};

/// The caller's own way to make memory for results. Asked on the thread that calls the module, so it must be thread safe where that is called from several; may
/// not call the module. What it throws ends the call, which leaves the module usable.
class OutputAllocator {
 public:
  virtual ~OutputAllocator() = default;
  /// A contiguous tensor of any dtype and sizes with at least `bytes` bytes on `device`, at a multiple of 256 bytes or as Tensor::empty gives it. The result of
  /// the call holds a reference to it; the allocator may keep another one and give the memory again, which overwrites that result. It may lie on inputs, but
  /// those that the call writes, and not on another output. An undefined tensor refuses: a bound (then the exact size is asked for when it is known, and the
  /// result copied there), or, for an exact size, the call: OutOfMemory. What breaks this contract is InvalidArgument.
  virtual Tensor allocate(const OutputRequest& request) = 0;
  /// After the call has run, before it returns: the result's sizes, at the start of the memory given last for output `index`.
  virtual void notify_shape(std::size_t index, std::span<const std::int64_t> sizes) {
    (void)index;
    (void)sizes;
  }
};

/// While the scope is open a module's results lie in memory that is made once and used again: a result is overwritten by the next call of the same thread
/// (clone it to keep it) and replaced when its size changes. A thread's memory goes with the scope. Calls that end after it keep theirs.
[[nodiscard]] ModuleScope enable_pre_allocated_outputs(const Module& module);
/// While the scope is open all results of the module's calls come from `allocator`; null: one that refuses bounds, so that memory is of the exact size. Of open
/// scopes of these two kinds the newest counts, and closing it brings back the one before. Modules whose sizes depend on data need no scope. Throws
/// ModeConflict when the module has a graph scope with on_uncapturable = error.
[[nodiscard]] ModuleScope enable_output_allocator(const Module& module, std::shared_ptr<OutputAllocator> allocator = nullptr);

/// Process-wide, off at first; takes effect at once: a call sees it as it was when it began. On: every call compares the module's device with the caller's
/// current one (a difference is logged, and counted in Module::stats), one thread at a time switches between devices, inputs on another device are moved (a
/// warning for each; counted as staged by other_device; mutated ones are written back) instead of being an error, a module saved for a device that is not here
/// is loaded on another one of its type, and where there is none DeviceError says that no compatible device was found.
void set_multi_device_safe_mode(bool on);
[[nodiscard]] bool get_multi_device_safe_mode();

/// The same for a scope: the newest open one counts, and setting the mode by hand sets it for that one; closing the last restores what was on before the first.
class MultiDeviceSafeModeScope {
 public:
  explicit MultiDeviceSafeModeScope(bool on = true);
  MultiDeviceSafeModeScope(MultiDeviceSafeModeScope&& other) noexcept : id_(std::exchange(other.id_, 0)) {}
  MultiDeviceSafeModeScope& operator=(MultiDeviceSafeModeScope&&) = delete;
  ~MultiDeviceSafeModeScope() { close(); }
  /// Once; later ones do nothing.
  void close() noexcept;

 private:
  std::uint64_t id_;
};

/// The calling thread's current device of a type: what cudaGetDevice tells, cpu:0 at first. Every call of a module makes the module's device current until it
/// returns or throws, and then this one again. Throws DeviceError where there is no such device.
[[nodiscard]] Device current_device(DeviceType type);
void set_current_device(Device device);

/// Calls stay with the active optimization profile when their sizes fit it, else they take the first that fits: what modules do without a scope, too.
inline constexpr int kAutoProfile = -1;
/// Which optimization profile a module's calls take while the scope is open: the one of this index alone, so that other sizes are a ShapeError that names the
/// profile, or kAutoProfile. A change of profile never replays what was recorded under another one: it is recorded anew (reason `profile`). Scopes may close in
/// any order and by any thread; the newest open one counts; closing it brings back what was active before. Throws InvalidArgument: no profile of that index.
[[nodiscard]] ModuleScope optimization_profile(const Module& module, int index = kAutoProfile);
/// An engine's part of a module's budget: an engine is a segment that has weights, fallback segments included.
struct EngineBudget {
  int segment = 0;
  std::int64_t streamable_bytes = 0, budget_bytes = 0;
};

/// How many bytes of a module's weights stay on its device while the scope is open; the others lie on the host (pinned memory for a GPU, the module's file on a
/// CPU) and pass through two or three slots as calls need them, copied while earlier commands compute. Results are the same with every budget.
class WeightStreamingScope : public ModuleScope {
 public:
  using ModuleScope::ModuleScope;
  /// In force now; total_device_budget() when nothing is streamed, 0 when there is nothing to stream.
  [[nodiscard]] std::int64_t device_budget() const;
  /// 0 streams everything; more than the total is the total, with a warning. The slots are part of the budget when it has room for them. Calls in flight finish
  /// under the budget that they began with (and what it holds is freed then); later ones record anew. Thread safe. Throws InvalidArgument ("Streamable bytes
  /// are zero. …", "Requested budget cannot be negative"), OutOfMemory and DeviceError: the weights that did not reach the device are then streamed.
  void set_device_budget(std::int64_t bytes);
  /// Bytes of all weights; 0 unless the module was compiled with enable_weight_streaming.
  [[nodiscard]] std::int64_t total_device_budget() const;
  /// What fits into the device's memory as it is now, room for a call's other buffers set aside. The budget of a module that was just loaded.
  [[nodiscard]] std::int64_t automatic_budget() const;
  /// The budget is split among engines in proportion to their weights, each part within one byte of its share.
  [[nodiscard]] std::vector<EngineBudget> engine_budgets() const;
};

/// On exit the budget is what it was at entry. Scopes of one module may close in any order: the newest open one counts, and setting the budget through any of
/// them sets it for that one.
[[nodiscard]] WeightStreamingScope weight_streaming(const Module& module);
/// True when the budget is less than the total, so that calls stream weights.
[[nodiscard]] bool is_weight_streaming_set(const Module& module);

/// Uninitialized, contiguous memory on any device. Throws DeviceError, OutOfMemory.
[[nodiscard]] Tensor empty(std::span<const std::int64_t> sizes, DType dtype, Device device);
/// A contiguous copy on `device` of a tensor anywhere; complete on return. Throws DeviceError, OutOfMemory.
[[nodiscard]] Tensor copy_to(const Tensor& source, Device device);

}  // namespace reprise::runtime
