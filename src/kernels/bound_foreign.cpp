#include <algorithm>

#include "base/check.h"
#include "core/foreign.h"
#include "kernels/foreign.h"

namespace reprise::kernels {
namespace {

BoundForeign::Value value_of(const core::Attr& attr, const BoundAttrs& attrs, const std::string& key) {
  if (std::holds_alternative<sym::Expr>(attr)) {
    const auto number = attrs.eval(std::get<sym::Expr>(attr));
    return number.is_real ? BoundForeign::Value(number.real) : BoundForeign::Value(number.integer);
  }
  if (std::holds_alternative<std::vector<sym::Expr>>(attr)) return attrs.ints(key);
  if (const auto* value = std::get_if<bool>(&attr)) return *value;
  if (const auto* value = std::get_if<double>(&attr)) return *value;
  if (const auto* value = std::get_if<std::string>(&attr)) return *value;
  if (const auto* value = std::get_if<DType>(&attr)) return *value;
  if (const auto* value = std::get_if<std::vector<double>>(&attr)) return *value;
  REPRISE_FAIL(FormatError, "[foreign/attributes] '{}' has a type that arguments cannot have", key);
}

class HostForeignStep final : public device::Step {
 public:
  explicit HostForeignStep(const StepSpec& spec) : bound_(spec), function_(bound_.measures() ? bound_.kernel().host_sizes : bound_.kernel().host) {
    REPRISE_CHECK(static_cast<bool>(function_), UnsupportedOp, "[foreign/{}] '{}' has no {} function for the host", bound_.kernel().name, bound_.node(),
                  bound_.measures() ? "size" : "host");
  }
  void run(void* const* bindings) const override { call_foreign(function_, call(bindings), bound_); }
  void prepare_recording(void* const* bindings) const override {
    if (bound_.kernel().before_capture) call_foreign(bound_.kernel().before_capture, call(bindings), bound_);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return bound_.workspace_bytes(); }

 private:
  [[nodiscard]] ForeignCall call(void* const* bindings) const { return {bound_, bindings, bound_.workspace_bytes() > 0 ? bindings[scratch_slot()] : nullptr}; }

  BoundForeign bound_;
  const ForeignFunction& function_;
};

}  // namespace

BoundForeign::BoundForeign(const StepSpec& spec)
    : kernel_(spec.foreign),
      node_(spec.name),
      inputs_(spec.inputs.begin(), spec.inputs.end()),
      outputs_(spec.outputs.begin(), spec.outputs.end()),
      written_(inputs_.size()),
      measures_(spec.attrs->flag("measures", false)),
      threads_(spec.threads) {
  REPRISE_CHECK(kernel_ != nullptr, UnsupportedOp, "[kernels/foreign] there is no foreign kernel for '{}'", node_);
  read_attributes(*spec.attrs);
  for (const auto* operands : {&inputs_, &outputs_})
    for (const OperandRef& operand : *operands)
      REPRISE_CHECK(operand.is_contiguous(), FormatError, "[foreign/{}] '{}' has an operand that is not contiguous", kernel_->name, node_);
  if (kernel_->workspace_bytes && !measures_) workspace_bytes_ = kernel_->workspace_bytes(ForeignShapes(*this));
}

void BoundForeign::read_attributes(const BoundAttrs& attrs) {
  for (const auto& [key, attr] : attrs.unbound().items()) {
    if (key.starts_with(core::kForeignArgument)) arguments_.emplace(key.substr(4), value_of(attr, attrs, key));
    if (!key.starts_with(core::kForeignInput)) continue;
    const auto range = attrs.unbound().fixed_ints(key);
    const bool fits = range.size() == 2 && range[0] >= 0 && range[1] >= 0 && range[0] <= std::ssize(inputs_) && range[1] <= std::ssize(inputs_) - range[0];
    REPRISE_CHECK(fits, FormatError, "[foreign/{}] '{}' has operands that are not there ({})", kernel_->name, node_, key);
    parameters_.emplace(key.substr(3), std::pair(static_cast<std::size_t>(range[0]), static_cast<std::size_t>(range[1])));
  }
  if (!attrs.has("mutates")) return;
  const auto mutated = attrs.unbound().fixed_ints("mutates");
  REPRISE_CHECK(mutated.size() <= outputs_.size(), FormatError, "[foreign/{}] '{}' writes more inputs than it has outputs", kernel_->name, node_);
  for (std::size_t i = 0; i < mutated.size(); ++i) {
    const auto& output = outputs_[outputs_.size() - mutated.size() + i];
    const bool in_place = mutated[i] >= 0 && mutated[i] < std::ssize(inputs_) && inputs_[static_cast<std::size_t>(mutated[i])].slot == output.slot;
    REPRISE_CHECK(in_place, FormatError, "[foreign/{}] '{}' writes an input that is not in place", kernel_->name, node_);
    written_[static_cast<std::size_t>(mutated[i])] = true;
  }
  outputs_.resize(outputs_.size() - mutated.size());
}

std::span<const OperandRef> BoundForeign::of(std::string_view parameter) const {
  const auto found = parameters_.find(parameter);
  REPRISE_CHECK(found != parameters_.end(), InvalidArgument, "[foreign/{}] the op has no tensor parameter '{}'", kernel_->name, parameter);
  return std::span(inputs_).subspan(found->second.first, found->second.second);
}

const BoundForeign::Value* BoundForeign::argument(std::string_view parameter) const {
  const auto found = arguments_.find(parameter);
  return found == arguments_.end() ? nullptr : &found->second;
}

std::unique_ptr<device::Step> make_host_foreign_step(const StepSpec& spec) { return std::make_unique<HostForeignStep>(spec); }

}  // namespace reprise::kernels
