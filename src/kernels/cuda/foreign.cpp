// Users' kernels: NVRTC source as kernels of our own lists, CUDA functions as library calls, host functions between copies.
#include "kernels/foreign.h"

#include "device/cuda/memory.h"
#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

using device::cuda::CudaStep;
using device::cuda::HostCall;
using device::cuda::LibraryCall;

std::int64_t nbytes(const OperandRef& operand) { return operand.numel() * static_cast<std::int64_t>(item_size(operand.dtype)); }

std::vector<Access> accesses_of(const BoundForeign& bound, int scratch_slot) {
  std::vector<Access> all;
  for (std::size_t i = 0; i < bound.inputs().size(); ++i) all.push_back(access(bound.inputs()[i], bound.writes_input(i)));
  for (const OperandRef& output : bound.outputs()) all.push_back(access(output, true));
  if (bound.workspace_bytes() > 0) all.push_back({scratch_slot, 0, static_cast<std::int64_t>(bound.workspace_bytes()), true});
  return all;
}

class FunctionStep final : public CudaStep {
 public:
  explicit FunctionStep(const StepSpec& spec) : bound_(spec) {}
  void describe(Operations& operations) const override {
    operations.add(LibraryCall{[this](CUstream stream, void* const* bindings) { call_foreign(function(), call(bindings, stream), bound_); }},
                   accesses_of(bound_, scratch_slot()));
  }
  void prepare_recording(void* const* bindings) const override {
    if (bound_.kernel().before_capture) call_foreign(bound_.kernel().before_capture, call(bindings, nullptr), bound_);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return bound_.workspace_bytes(); }

 private:
  [[nodiscard]] const ForeignFunction& function() const { return bound_.measures() ? bound_.kernel().cuda_sizes : bound_.kernel().cuda; }
  [[nodiscard]] ForeignCall call(void* const* bindings, CUstream stream) const {
    return {bound_, bindings, bound_.workspace_bytes() > 0 ? bindings[scratch_slot()] : nullptr, stream};
  }

  BoundForeign bound_;
};

/// Pinned copies of a command's operands, and the host's step over them.
class HostSide {
 public:
  HostSide(const BoundForeign& bound, const StepSpec& spec) {
    std::size_t total = 0;
    const auto place = [&](const OperandRef& operand) {
      OperandRef moved = operand;
      moved.slot = static_cast<int>(offsets_.size());
      moved.offset = 0;
      offsets_.push_back(total);
      total += (static_cast<std::size_t>(nbytes(operand)) + 63) / 64 * 64;
      return moved;
    };
    for (const OperandRef& input : bound.inputs()) inputs_.push_back(place(input));
    for (const OperandRef& output : bound.outputs()) outputs_.push_back(place(output));
    // What it changes in place are its last outputs, too.
    auto outputs = outputs_;
    if (spec.attrs->has("mutates"))
      for (const auto input : spec.attrs->unbound().fixed_ints("mutates")) outputs.push_back(inputs_[static_cast<std::size_t>(input)]);
    StepSpec moved = spec;
    moved.inputs = inputs_;
    moved.outputs = outputs;
    step_ = make_host_foreign_step(moved);
    step_->set_scratch_slot(static_cast<int>(offsets_.size()));
    offsets_.push_back(total);
    total_ = total + step_->scratch_bytes();
  }
  HostSide(const HostSide&) = delete;
  HostSide& operator=(const HostSide&) = delete;
  ~HostSide() {
    if (memory_ != nullptr) device::cuda::driver().cuMemFreeHost(memory_);
  }

  void allocate() {
    memory_ = static_cast<std::byte*>(device::cuda::allocate_pinned(std::max<std::size_t>(total_, 1)));
    for (const std::size_t offset : offsets_) table_.push_back(memory_ + offset);
  }
  [[nodiscard]] const device::Step& step() const { return *step_; }
  [[nodiscard]] void* const* table() const { return table_.data(); }
  [[nodiscard]] void* input(std::size_t i) const { return table_[i]; }
  [[nodiscard]] void* output(std::size_t i) const { return table_[inputs_.size() + i]; }

 private:
  std::vector<OperandRef> inputs_, outputs_;
  std::vector<std::size_t> offsets_;  // by slot
  std::size_t total_ = 0;
  std::unique_ptr<device::Step> step_;
  std::byte* memory_ = nullptr;
  std::vector<void*> table_;
};

/// The host's step, in the order of the stream on a thread of the driver, over the pinned copies.
class InnerStep final : public device::Step {
 public:
  explicit InnerStep(const HostSide& side) : side_(side) {}
  void run(void* const*) const override { side_.step().run(side_.table()); }

 private:
  const HostSide& side_;
};

void copy(const void* to, const void* from, std::int64_t bytes, CUstream stream) {
  if (bytes == 0) return;
  device::cuda::check(
      device::cuda::driver().cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(to), reinterpret_cast<CUdeviceptr>(from), static_cast<std::size_t>(bytes), stream),
      "copying a foreign kernel's operands");
}

class HostFunctionStep final : public CudaStep {
 public:
  explicit HostFunctionStep(const StepSpec& spec) : bound_(spec), side_(std::make_unique<HostSide>(bound_, spec)), inner_(*side_) {}

  void describe(Operations& operations) const override {
    side_->allocate();
    std::vector<Access> read, written;
    for (const OperandRef& input : bound_.inputs()) read.push_back(access(input, false));
    for (std::size_t i = 0; i < bound_.inputs().size(); ++i)
      if (bound_.writes_input(i)) written.push_back(access(bound_.inputs()[i], true));
    for (const OperandRef& output : bound_.outputs()) written.push_back(access(output, true));
    operations.add(LibraryCall{[this](CUstream stream, void* const* bindings) { bring(stream, bindings); }}, read);
    operations.add(HostCall{&inner_}, {});
    operations.add(LibraryCall{[this](CUstream stream, void* const* bindings) { return_results(stream, bindings); }}, written);
  }
  void prepare_recording(void* const*) const override { side_->step().prepare_recording(side_->table()); }

 private:
  void bring(CUstream stream, void* const* bindings) const {
    for (std::size_t i = 0; i < bound_.inputs().size(); ++i) copy(side_->input(i), bound_.inputs()[i].at(bindings), nbytes(bound_.inputs()[i]), stream);
  }
  void return_results(CUstream stream, void* const* bindings) const {
    for (std::size_t i = 0; i < bound_.inputs().size(); ++i)
      if (bound_.writes_input(i)) copy(bound_.inputs()[i].at(bindings), side_->input(i), nbytes(bound_.inputs()[i]), stream);
    for (std::size_t i = 0; i < bound_.outputs().size(); ++i) copy(bound_.outputs()[i].at(bindings), side_->output(i), nbytes(bound_.outputs()[i]), stream);
  }

  BoundForeign bound_;
  std::unique_ptr<HostSide> side_;
  InnerStep inner_;
};

StepPtr make_nvrtc(Gpu& gpu, const StepSpec& spec) {
  const auto bound = std::make_shared<const BoundForeign>(spec);
  const NvrtcKernel& source = *bound->kernel().nvrtc;
  const Kernel kernel = gpu.programs().request({.text = source.source, .entry = source.entry, .options = source.options});
  const auto wanted = source.launch(ForeignShapes(*bound));
  return make_step(bound->workspace_bytes(), [=](Operations& operations, int scratch_slot) {
    Arguments arguments;
    for (std::size_t i = 0; i < bound->inputs().size(); ++i) arguments.pointer(place(bound->inputs()[i]), access(bound->inputs()[i], bound->writes_input(i)));
    for (const OperandRef& output : bound->outputs()) arguments.out(output);
    const auto workspace = static_cast<std::int64_t>(bound->workspace_bytes());
    if (workspace > 0) arguments.pointer({scratch_slot, 0}, {scratch_slot, 0, workspace, true});
    for (const auto& scalar : wanted.scalars) std::visit([&](const auto& value) { arguments.value(value); }, scalar);
    const auto extent = [](const std::array<unsigned, 3>& e) { return Extent{e[0], e[1], e[2]}; };
    launch(operations, kernel, {.grid = extent(wanted.grid), .block = extent(wanted.block), .shared_bytes = wanted.shared_bytes}, arguments);
  });
}

}  // namespace

StepPtr make_foreign(Gpu& gpu, const StepSpec& spec) {
  REPRISE_CHECK(spec.foreign != nullptr, UnsupportedOp, "[kernels/foreign] there is no foreign kernel for '{}'", spec.name);
  const ForeignKernel& kernel = *spec.foreign;
  const bool measures = spec.attrs->flag("measures", false);
  if (measures ? static_cast<bool>(kernel.cuda_sizes) : !kernel.nvrtc && kernel.cuda) return std::make_unique<FunctionStep>(spec);
  if (!measures && kernel.nvrtc) return make_nvrtc(gpu, spec);
  return std::make_unique<HostFunctionStep>(spec);
}

}  // namespace reprise::kernels::cuda
