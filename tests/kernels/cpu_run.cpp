#include "kernels/cpu_run.h"

#include <algorithm>

#include "kernels/isa.h"
#include "reprise/device.h"
#include "sym/evaluate.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::test {

std::vector<std::string> machine_isas() {
  constexpr const char* kNames[] = {"plain", "avx2", "avx512", "avx512_bf16", "amx"};
  return {kNames, kNames + static_cast<int>(machine_isa()) + 1};
}

IsaScope::IsaScope(const std::string& name) : before_(cpu_isa()) { set_max_cpu_isa(name); }
IsaScope::~IsaScope() { set_max_cpu_isa(before_); }

Tensor channels_last(const Tensor& t) {
  std::vector<std::int64_t> strides(t.sizes().size());
  std::int64_t step = t.sizes()[1];
  strides[1] = 1;
  for (std::size_t d = strides.size(); d-- > 0;) {
    if (d == 1) continue;
    strides[d] = step;
    step *= t.sizes()[d];
  }
  Tensor result = Tensor::zeros(std::vector{t.numel()}, t.dtype()).as_strided(t.sizes(), strides);
  tensor::copy_into(result, t);
  return result;
}

OperandRef CpuRun::operand(const Tensor& tensor) {
  const auto slot = std::find(bindings_.begin(), bindings_.end(), tensor.data()) - bindings_.begin();
  OperandRef ref{.dtype = tensor.dtype(), .slot = static_cast<int>(slot), .rank = static_cast<int>(tensor.rank())};
  std::copy(tensor.sizes().begin(), tensor.sizes().end(), ref.sizes.begin());
  std::copy(tensor.strides().begin(), tensor.strides().end(), ref.strides.begin());
  if (slot == std::ssize(bindings_)) bindings_.push_back(const_cast<void*>(tensor.data()));
  return ref;
}

void CpuRun::make(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, const Make& make) {
  for (const Tensor& t : inputs) inputs_.push_back(operand(t));
  for (const Tensor& t : outputs) outputs_.push_back(operand(t));
  fixed_.assign(bindings_.size(), nullptr);
  for (const int input : options_.fixed) fixed_[static_cast<std::size_t>(inputs_[static_cast<std::size_t>(input)].slot)] = inputs[input].data();
  const BoundAttrs bound(attrs, [](const sym::Expr& e) { return *sym::evaluate(e, [](const std::string&) { return std::optional<sym::Number>(); }); });
  StepSpec spec{.op = op, .inputs = inputs_, .outputs = outputs_, .attrs = &bound, .threads = options_.threads, .name = std::string(core::name(op))};
  spec.fixed = fixed_;
  if (options_.streamed) spec.first_streamed_slot = 0;
  spec.packings = &packings_;
  step_ = make(spec);
}

void CpuRun::run() {
  for (const Packing& packing : packings_) {
    packed_.push_back(Tensor::empty(std::vector{static_cast<std::int64_t>(packing.bytes)}, DType::u8));
    packing.pack(fixed_[static_cast<std::size_t>(packing.slot)], packed_.back().data());
    bindings_[static_cast<std::size_t>(packing.slot)] = packed_.back().data();
  }
  const Tensor scratch = Tensor::empty(std::vector{static_cast<std::int64_t>(step_->scratch_bytes())}, DType::u8);
  step_->set_scratch_slot(static_cast<int>(bindings_.size()));
  bindings_.push_back(scratch.data());
  step_->run(bindings_.data());
}

}  // namespace reprise::kernels::test
