// What a foreign kernel sees of its command.
#include "base/check.h"
#include "kernels/foreign.h"

namespace reprise {
namespace {

using kernels::BoundForeign;
using kernels::OperandRef;

ForeignTensor tensor(std::span<const OperandRef> operands, std::size_t index, void* const* bindings, const BoundForeign& bound, const char* what) {
  REPRISE_CHECK(index < operands.size(), InvalidArgument, "[foreign/{}] '{}' has no {} {} (it has {})", bound.kernel().name, bound.node(), what, index,
                operands.size());
  const OperandRef& operand = operands[index];
  return {operand.dtype, operand.shape(), bindings == nullptr ? nullptr : operand.at(bindings)};
}

template <class T>
const T& value(const BoundForeign& bound, std::string_view name, const char* want) {
  const auto* found = bound.argument(name);
  const T* typed = found == nullptr ? nullptr : std::get_if<T>(found);
  REPRISE_CHECK(typed != nullptr, InvalidArgument, "[foreign/{}] argument '{}' of '{}' is {}, not {}", bound.kernel().name, name, bound.node(),
                found == nullptr ? "None or missing" : "of another type", want);
  return *typed;
}

}  // namespace

std::size_t ForeignShapes::inputs() const { return bound_->inputs().size(); }
std::size_t ForeignShapes::outputs() const { return bound_->outputs().size(); }
ForeignTensor ForeignShapes::input(std::size_t index) const { return tensor(bound_->inputs(), index, bindings_, *bound_, "input"); }
ForeignTensor ForeignShapes::input(std::string_view name) const { return tensor(bound_->of(name), 0, bindings_, *bound_, "tensor in that argument:"); }
bool ForeignShapes::has_input(std::string_view name) const { return !bound_->of(name).empty(); }
ForeignTensor ForeignShapes::output(std::size_t index) const { return tensor(bound_->outputs(), index, bindings_, *bound_, "output"); }

bool ForeignShapes::is_none(std::string_view name) const { return bound_->argument(name) == nullptr; }
std::int64_t ForeignShapes::integer(std::string_view name) const { return value<std::int64_t>(*bound_, name, "an integer"); }
double ForeignShapes::real(std::string_view name) const {
  const auto* found = bound_->argument(name);
  if (found != nullptr && std::holds_alternative<std::int64_t>(*found)) return static_cast<double>(std::get<std::int64_t>(*found));
  return value<double>(*bound_, name, "a number");
}
bool ForeignShapes::flag(std::string_view name) const { return value<bool>(*bound_, name, "a boolean"); }
const std::string& ForeignShapes::text(std::string_view name) const { return value<std::string>(*bound_, name, "a string"); }
DType ForeignShapes::dtype(std::string_view name) const { return value<DType>(*bound_, name, "a dtype"); }
std::span<const std::int64_t> ForeignShapes::integers(std::string_view name) const {
  return value<std::vector<std::int64_t>>(*bound_, name, "a list of integers");
}
std::span<const double> ForeignShapes::reals(std::string_view name) const { return value<std::vector<double>>(*bound_, name, "a list of numbers"); }
int ForeignShapes::threads() const { return bound_->threads(); }

}  // namespace reprise
