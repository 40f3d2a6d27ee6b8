#include "kernels/device_run.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "device/cuda_library.h"
#include "device/device.h"
#include "kernels/kernel.h"
#include "kernels/provider.h"
#include "sym/evaluate.h"

namespace reprise::kernels::test {
namespace {

/// First byte of a tensor and how many it spans.
std::pair<void*, std::size_t> span_of(const Tensor& t) {
  std::int64_t last = t.numel() == 0 ? -1 : 0;
  for (std::size_t d = 0; t.numel() > 0 && d < t.sizes().size(); ++d) last += (t.sizes()[d] - 1) * t.strides()[d];
  return {t.data(), static_cast<std::size_t>(last + 1) * item_size(t.dtype())};
}

OperandRef operand_of(const Tensor& t, int slot) {
  OperandRef ref{.dtype = t.dtype(), .slot = slot, .rank = static_cast<int>(t.rank())};
  std::copy(t.sizes().begin(), t.sizes().end(), ref.sizes.begin());
  std::copy(t.strides().begin(), t.strides().end(), ref.strides.begin());
  return ref;
}

sym::Number constant(const sym::Expr& e) {
  const auto value = sym::evaluate(e, [](const std::string&) { return std::optional<sym::Number>(); });
  REPRISE_CHECK(value.has_value(), InvalidArgument, "[kernels/test] '{}' has no value", e.str());
  return *value;
}

StepSpec spec_of(core::Op op, const std::vector<OperandRef>& in, const std::vector<OperandRef>& out, const BoundAttrs& attrs) {
  return {.op = op, .inputs = in, .outputs = out, .attrs = &attrs, .threads = 2, .name = std::string(core::name(op))};
}

/// Host tensors in device memory; those that begin at one address share a slot.
class Slots {
 public:
  explicit Slots(device::DevicePtr device) : device_(std::move(device)) {}

  OperandRef bind(const Tensor& t) {
    const auto [data, bytes] = span_of(t);
    const auto [slot, fresh] = slots_.try_emplace(data, static_cast<int>(bindings_.size()));
    if (fresh) {
      memory_.emplace_back(device_, bytes);
      device_->copy(memory_.back().data(), data, bytes, device_->default_stream());
      bindings_.push_back(memory_.back().data());
    }
    return operand_of(t, slot->second);
  }
  int add(std::size_t bytes) {
    memory_.emplace_back(device_, bytes);
    bindings_.push_back(memory_.back().data());
    return static_cast<int>(bindings_.size()) - 1;
  }
  void fetch(const Tensor& t) {
    const auto [data, bytes] = span_of(t);
    device_->copy(data, bindings_[static_cast<std::size_t>(slots_.at(data))], bytes, device_->default_stream());
  }
  [[nodiscard]] void* const* bindings() const { return bindings_.data(); }

 private:
  device::DevicePtr device_;
  std::vector<device::Allocation> memory_;
  std::vector<void*> bindings_;
  std::map<void*, int> slots_;
};

}  // namespace

void run_on_device(const std::string& device_name, core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& outputs) {
  static const auto device = device::open(Device::parse(device_name));
  static const auto make = step_maker(device);
  Slots slots(device);
  std::vector<OperandRef> in, out;
  for (const Tensor& t : inputs) in.push_back(slots.bind(t));
  for (const Tensor& t : outputs) out.push_back(slots.bind(t));
  const BoundAttrs bound(attrs, constant);
  device::StepList steps;
  steps.push_back(make(spec_of(op, in, out, bound)));
  steps.back()->set_scratch_slot(slots.add(steps.back()->scratch_bytes()));
  auto& stream = device->default_stream();
  const auto list = device->make_command_list(std::move(steps));
  list->enqueue(stream, slots.bindings());
  stream.synchronize();
  for (const Tensor& t : outputs) slots.fetch(t);
  stream.synchronize();
}

void compile_offline(const std::string& architecture, core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs,
                     const std::vector<Tensor>& outputs) {
  static const StepMaker make = [&] {
    StepMaker maker;
    device::cuda_function<void (*)(const char*, StepMaker*)>("reprise_cuda_offline_step_maker")(architecture.c_str(), &maker);
    return maker;
  }();
  std::vector<OperandRef> in, out;
  int slot = 0;
  for (const Tensor& t : inputs) in.push_back(operand_of(t, slot++));
  for (const Tensor& t : outputs) out.push_back(operand_of(t, slot++));
  const BoundAttrs bound(attrs, constant);
  (void)make(spec_of(op, in, out, bound));
}

}  // namespace reprise::kernels::test
