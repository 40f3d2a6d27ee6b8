// Modules: compiled programs that can be called. Part of the runtime library.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "reprise/device.h"
#include "reprise/dtype.h"
#include "reprise/foreign_kernel.h"
#include "reprise/stats.h"
#include "reprise/stream.h"
#include "reprise/tensor.h"

namespace reprise {

/// A flattened argument or result: a tensor, or a Python scalar / string / None of the program's signature.
using Argument = std::variant<Tensor, std::monostate, bool, std::int64_t, double, std::string>;

/// One entry of a module's signature.
struct SignatureEntry {
  std::string name;
  enum class Kind { tensor, integer, real, boolean, text, none, constant } kind = Kind::tensor;  // constant (inputs): a value fixed at export
  DType dtype = DType::f32;
  std::vector<std::string> sizes;           // expressions: "3", "s77"
  std::vector<std::int64_t> min, opt, max;  // per dimension, under one profile; INT64_MAX: unbounded
  std::string constant;                     // printed value of a constant
};

/// Reserved is address space, committed is memory; both are sums over all contexts.
struct MemoryUse {
  std::size_t weight_bytes = 0, state_bytes = 0, arena_reserved_bytes = 0, arena_committed_bytes = 0, contexts = 0;
  // Weight streaming: weight_bytes counts what stays on the device; the slots that the others pass through, of all contexts; pinned host memory for these.
  std::size_t slot_bytes = 0, pinned_bytes = 0;
};

/// Whether a module's calls are recorded and replayed without any mode that is on.
enum class CudaGraphStrategy : std::uint8_t { disabled, whole_graph_capture };
[[nodiscard]] const char* name(CudaGraphStrategy strategy);
/// "per_engine_capture" is another name of whole_graph_capture. Throws InvalidArgument, listing the names.
[[nodiscard]] CudaGraphStrategy parse_cuda_graph_strategy(std::string_view text);

/// Settings of a module that may change at any time. Other values than before take effect once, at the next call: its execution context is rebuilt, what it
/// recorded is recorded anew (reason `settings`). Calls in flight end as they began.
struct RuntimeConfig {
  CudaGraphStrategy cuda_graph_strategy = CudaGraphStrategy::disabled;
  friend bool operator==(const RuntimeConfig&, const RuntimeConfig&) = default;
};

struct Capturability {
  bool capturable = true;
  std::string reason;  // why not: "segment 0 needs the host: the host needs u0 at 'nonzero' (nonzero)"
  explicit operator bool() const { return capturable; }
};

/// A command of a module and how long it takes, as Module::profile measured it.
struct CommandTime {
  int position = 0;                  // in the module's order of commands
  std::string op, name, trace;       // core op; ATen node and its Python line
  std::vector<std::string> kernels;  // at the first profile's opt shapes, as `reprise inspect --plan` lists them
  int runs = 0;                      // in a call: a loop's body may run often, a branch not at all
  double microseconds = 0;           // of all its runs in a call: the median of several calls
};

struct LoadOptions {
  /// Instead of the device that the module was saved for. No other one is touched.
  std::optional<Device> device = std::nullopt;
  /// A module's kernels are made for one GPU architecture. On another one they are compiled anew from their sources, which takes NVRTC and seconds; false: that
  /// is a DeviceError.
  bool allow_recompile = true;
  /// Besides the process's (register_foreign_kernel): those that the module needs. One that is missing is an UnsupportedOp that names it.
  std::vector<ForeignKernel> foreign_kernels = {};
};

class BoundCall;

/// A compiled program. Handles are cheap to copy and share one module; calls may come from many threads at once: each call in flight owns an execution context
/// from a pool, so calls without state never wait for each other; calls of a module with state follow one another.
class Module {
 public:
  struct Impl;
  explicit Module(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  /// Calls with one Argument per flattened user input; constants may be left out altogether, or passed and are then checked. Inputs may be non-contiguous; for
  /// a module on a GPU they may be on the host (each call copies them). They must stay unchanged during the call, but for those that the program mutates: the
  /// call writes these. Results are new tensors, one entry per flattened output, and are complete on return. Throws InvalidArgument (count, kind, dtype,
  /// device), ShapeError (rank, size against range and profile, sizes that disagree or that data makes too large), OutOfMemory, and what steps find in the data
  /// (an index out of range). The module stays usable after any of them; only state and mutated inputs may be half written when a step throws.
  std::vector<Argument> operator()(std::span<const Argument> inputs) const;
  /// The same without constants; integer inputs are 0-d integer tensors on the CPU.
  std::vector<Argument> operator()(std::span<const Tensor> inputs) const;

  /// Writes into tensors that the caller owns: contiguous, of the exact dtype and sizes (`output_sizes` tells), apart from each other, but they may lie on
  /// inputs; only tensor outputs are given, in order. Allocates nothing in steady state (the shapes of one of the last sixteen). Not for outputs whose size
  /// depends on data (InvalidArgument).
  void run(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const;
  /// As `run`, but returns when the work is in `stream`, behind what stands there. Tensors must stay, and inputs unchanged, until the stream has passed; what
  /// steps find in the data is thrown by its `synchronize`. Where a value from data steers the program the call waits for it, and on a CPU for everything.
  /// Calls of a module with state follow one another, whatever their streams. Throws InvalidArgument when the stream is another device's.
  void enqueue(std::span<const Tensor> inputs, std::span<const Tensor> outputs, const Stream& stream) const;
  /// A call whose tensors are fixed from now on. Arguments and errors as for `run`; nothing is run yet.
  [[nodiscard]] BoundCall bind(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const;
  /// Sizes of the tensor output `index` (counted as `run` takes them) for these inputs. Throws as a call does, and InvalidArgument where they depend on data.
  [[nodiscard]] std::vector<std::int64_t> output_sizes(std::span<const Tensor> inputs, std::size_t index) const;

  /// How long each command of a call takes on the device: calls are made whose commands run one by one, each timed by itself (on a GPU many copies of it in a
  /// row, which leaves out what launching costs and finds its data in caches). Their sum is not the time of a call, where commands overlap and wait for memory.
  /// Takes seconds. State and mutated inputs advance by `calls` + 1 calls. Throws as a call does.
  [[nodiscard]] std::vector<CommandTime> profile(std::span<const Tensor> inputs, int calls = 5) const;

  // With the bounds of an optimization profile. Throw InvalidArgument when there is none of that index.
  [[nodiscard]] std::vector<SignatureEntry> inputs(int profile = 0) const;
  [[nodiscard]] std::vector<SignatureEntry> outputs(int profile = 0) const;
  [[nodiscard]] int profile_count() const;
  /// The optimization profile that the last call took: a call stays with it when its sizes fit, else it takes the first that fits
  /// (runtime::optimization_profile chooses). 0 at first.
  [[nodiscard]] int active_profile() const;
  [[nodiscard]] Device device() const;
  [[nodiscard]] MemoryUse memory() const;
  /// Any thread may ask, also while calls run: each count is then one that it had.
  [[nodiscard]] ModuleStats stats() const;

  /// As it was compiled, at first. Thread safe.
  void set_runtime_config(const RuntimeConfig& config);
  [[nodiscard]] RuntimeConfig runtime_config() const;
  /// Recordings without a mode (reprise/runtime.h has the modes): part of the configuration. Scopes leave it as it is. In whole-graph mode the recording of the
  /// mode takes its place.
  void set_cuda_graph_strategy(CudaGraphStrategy strategy);
  [[nodiscard]] CudaGraphStrategy cuda_graph_strategy() const;
  /// Whether a call can be one recording, or needs a value on the host in between.
  [[nodiscard]] Capturability is_monolithic_capturable() const;
  /// True when an op counts what it writes (nonzero, unique, nms), so that sizes depend on data.
  [[nodiscard]] bool requires_output_allocator() const;

  /// Module state (mutated buffers): names, read a copy, replace, reset to the initial values. Wait for calls in flight.
  [[nodiscard]] std::vector<std::string> state_names() const;
  [[nodiscard]] Tensor state(std::string_view name) const;
  void set_state(std::string_view name, const Tensor& value);
  void reset_state();

  /// A replica on another device, so that one program serves many at once: shares the plan and the mapped file, and on one host the weights as they are and as
  /// kernels packed them; starts with this module's settings, and with the initial state as its own. Throws DeviceError, OutOfMemory.
  [[nodiscard]] Module to(Device device) const;

  /// Writes a `.rpz` atomically. Saves the initial state; from a GPU the compiled kernels as well, and which kernels were measured to be the fastest. Throws
  /// WriteError.
  void save(const std::string& path) const;
  /// Loads a `.rpz`. The file stays mapped. Opens one device and no other. Throws FormatError; DeviceError: the device is not there, or kernels for it
  /// neither.
  static Module load(const std::string& path, const LoadOptions& options = {});

  [[nodiscard]] const std::shared_ptr<Impl>& impl() const { return impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

/// A module's call with the tensors that it was bound to; holds on to them. Each run reads the inputs and writes the outputs as they then are. While nothing
/// that a call goes by has changed (configuration, optimization profile), it checks, binds and looks up nothing, and a replay patches nothing (counted as
/// bound_calls); tensors that cannot be used where they lie are copied in each run, as in any call. Keeps an execution context to itself. Copies share one
/// call; runs at once from several threads are allowed where the tensors are.
class BoundCall {
 public:
  struct Impl;
  explicit BoundCall(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  /// As Module::run.
  void operator()() const;
  /// As Module::enqueue.
  void enqueue(const Stream& stream) const;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace reprise
