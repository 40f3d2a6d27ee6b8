#include "kernels/kernel.h"

#include <algorithm>

#include "base/check.h"
#include "sym/evaluate.h"

namespace reprise::kernels {

std::int64_t OperandRef::numel() const {
  std::int64_t n = 1;
  for (const std::int64_t size : shape()) n *= size;
  return n;
}

bool OperandRef::is_contiguous() const {
  if (numel() == 0) return true;
  std::int64_t expected = 1;
  for (int d = rank - 1; d >= 0; --d) {
    if (sizes[d] != 1 && strides[d] != expected) return false;
    expected *= sizes[d];
  }
  return true;
}

std::int64_t BoundAttrs::integer(std::string_view key) const { return eval_(attrs_->integer(key)).as_int(); }

double BoundAttrs::real(std::string_view key) const {
  const core::Attr* attr = attrs_->find(key);
  if (attr != nullptr && std::holds_alternative<sym::Expr>(*attr)) return eval_(std::get<sym::Expr>(*attr)).as_real();
  return attrs_->real(key);
}

std::vector<std::int64_t> BoundAttrs::ints(std::string_view key) const {
  std::vector<std::int64_t> values;
  for (const sym::Expr& e : attrs_->ints(key)) values.push_back(eval_(e).as_int());
  return values;
}

sym::Number BoundAttrs::number(std::string_view key) const {
  const core::Attr* attr = attrs_->find(key);
  if (attr != nullptr && std::holds_alternative<bool>(*attr)) return sym::Number::of(std::get<bool>(*attr) ? 1 : 0);
  if (attr != nullptr && std::holds_alternative<sym::Expr>(*attr)) return eval_(std::get<sym::Expr>(*attr));
  return sym::Number::of_real(attrs_->real(key));
}

namespace {

OperandRef operand_of(const Tensor& tensor, int slot) {
  REPRISE_CHECK(tensor.rank() <= kMaxRank, InvalidArgument, "[kernels/run] too many dimensions (got {}, want at most {})", tensor.rank(), kMaxRank);
  OperandRef ref{.dtype = tensor.dtype(), .slot = slot, .rank = static_cast<int>(tensor.rank())};
  std::copy(tensor.sizes().begin(), tensor.sizes().end(), ref.sizes.begin());
  std::copy(tensor.strides().begin(), tensor.strides().end(), ref.strides.begin());
  return ref;
}

sym::Number evaluate_constant(const sym::Expr& e) {
  const auto value = sym::evaluate(e, [](const std::string&) { return std::optional<sym::Number>(); });
  REPRISE_CHECK(value.has_value(), InvalidArgument, "[kernels/run] an attribute has a symbol without a value (got {})", e.str());
  return *value;
}

}  // namespace

void run_reference(core::Op op, const core::Attrs& attrs, std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) {
  std::vector<OperandRef> in, out;
  std::vector<void*> bindings;
  // One slot for tensors that begin at one address: an output may be an input's own memory.
  const auto bind = [&bindings](const Tensor& tensor) {
    const auto slot = std::find(bindings.begin(), bindings.end(), tensor.data()) - bindings.begin();
    if (slot == static_cast<std::ptrdiff_t>(bindings.size())) bindings.push_back(tensor.data());
    return operand_of(tensor, static_cast<int>(slot));
  };
  for (const Tensor& tensor : inputs) in.push_back(bind(tensor));
  for (const Tensor& tensor : outputs) out.push_back(bind(tensor));
  const BoundAttrs bound(attrs, evaluate_constant);
  const auto step = make_reference_step({.op = op, .inputs = in, .outputs = out, .attrs = &bound, .threads = threads, .name = std::string(core::name(op))});

  const std::int64_t scratch_size[] = {static_cast<std::int64_t>(step->scratch_bytes())};
  const Tensor scratch = Tensor::empty(scratch_size, DType::u8);
  step->set_scratch_slot(static_cast<int>(bindings.size()));
  bindings.push_back(scratch.data());
  step->run(bindings.data());
}

}  // namespace reprise::kernels
