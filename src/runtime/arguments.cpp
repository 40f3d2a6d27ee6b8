#include "runtime/arguments.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tensor/strided_copy.h"

namespace reprise::runtime {
namespace {

using plan::InputSpec;

const char* kind_name(const Argument& argument) {
  constexpr const char* kNames[] = {"a tensor", "None", "a bool", "an integer", "a real", "a string"};
  return kNames[argument.index()];
}

bool is_constant(const InputSpec& spec) { return spec.kind == InputSpec::Kind::constant; }

std::size_t count_without_constants(const plan::Plan& plan) {
  std::size_t count = 0;
  for (const auto& spec : plan.inputs) count += !is_constant(spec);
  return count;
}

void check_count(const plan::Plan& plan, std::size_t got, bool constants_given) {
  const std::size_t want = count_without_constants(plan);
  if (got == want || (constants_given && got == plan.inputs.size())) return;
  std::vector<std::string_view> names;
  for (const auto& spec : plan.inputs)
    if (!is_constant(spec)) names.push_back(spec.name);
  REPRISE_FAIL(InvalidArgument, "[run/inputs] wrong number of inputs (got {}, want {}{}{})", got, want, names.empty() ? "" : ": ", fmt::join(names, ", "));
}

std::int64_t integer_of(const InputSpec& spec, const Tensor& tensor) {
  REPRISE_CHECK(tensor.defined() && tensor.rank() == 0 && is_integral(tensor.dtype()) && tensor.device().type == DeviceType::cpu, InvalidArgument,
                "[run/inputs] input '{}' is an integer (want a number or a 0-d integer tensor on the CPU)", spec.name);
  return tensor::dispatch(tensor.dtype(), [&]<class T>(T) -> std::int64_t {
    if constexpr (std::is_integral_v<T>) return static_cast<std::int64_t>(*tensor.data_as<T>());
    return 0;
  });
}

void check_tensor(const InputSpec& spec, Placement placement, const Tensor& tensor) {
  REPRISE_CHECK(tensor.defined(), InvalidArgument, "[run/inputs] input '{}' is an undefined tensor", spec.name);
  REPRISE_CHECK(tensor.dtype() == spec.dtype, InvalidArgument, "[run/inputs] input '{}' has the wrong dtype (got {}, want {})", spec.name, name(tensor.dtype()),
                name(spec.dtype));
  const Device device = placement.device;
  const bool host = tensor.device().type == DeviceType::cpu && device.type != DeviceType::cpu;
  REPRISE_CHECK(tensor.device() == device || host || placement.anywhere, InvalidArgument, "[run/inputs] input '{}' is on the wrong device (got {}, want {})",
                spec.name, tensor.device().str(), device.str());
  if (!spec.mutated) return;
  for (std::size_t d = 0; d < tensor.sizes().size(); ++d)
    REPRISE_CHECK(tensor.strides()[d] != 0 || tensor.sizes()[d] <= 1, InvalidArgument,
                  "[run/inputs] input '{}' is written by the call, but its elements share memory (got stride 0 in dimension {})", spec.name, d);
}

exec::InputValue check_input(const InputSpec& spec, Placement placement, const Tensor& tensor) {
  if (spec.kind == InputSpec::Kind::integer) return {nullptr, integer_of(spec, tensor)};
  check_tensor(spec, placement, tensor);
  return {&tensor, 0};
}

/// Numbers compare by value, as in Python; everything else by kind and value.
bool equals(const plan::ConstantValue& constant, const Argument& argument) {
  const auto number = [](const auto& value) -> std::optional<double> {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
    if (const auto* real = std::get_if<double>(&value)) return *real;
    return std::nullopt;
  };
  if (const auto* a = std::get_if<std::int64_t>(&constant))
    if (const auto* b = std::get_if<std::int64_t>(&argument)) return *a == *b;
  if (const auto a = number(constant), b = number(argument); a && b) return *a == *b || (*a != *a && *b != *b);
  if (const auto* a = std::get_if<bool>(&constant)) return std::get_if<bool>(&argument) != nullptr && *a == std::get<bool>(argument);
  if (const auto* a = std::get_if<std::string>(&constant)) return std::get_if<std::string>(&argument) != nullptr && *a == std::get<std::string>(argument);
  return std::holds_alternative<std::monostate>(constant) && std::holds_alternative<std::monostate>(argument);
}

std::string argument_text(const Argument& argument) {
  if (std::holds_alternative<Tensor>(argument)) return kind_name(argument);
  return std::visit(
      [](const auto& value) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Tensor>)
          return "";
        else
          return constant_text(value);
      },
      argument);
}

exec::InputValue check_input(const InputSpec& spec, Placement placement, const Argument& argument) {
  if (is_constant(spec)) {
    REPRISE_CHECK(equals(spec.constant, argument), InvalidArgument, "[run/inputs] input '{}' was fixed at export (got {}, want {})", spec.name,
                  argument_text(argument), constant_text(spec.constant));
    return {};
  }
  if (const auto* tensor = std::get_if<Tensor>(&argument)) return check_input(spec, placement, *tensor);
  const auto* integer = std::get_if<std::int64_t>(&argument);
  REPRISE_CHECK(spec.kind == InputSpec::Kind::integer && integer != nullptr, InvalidArgument, "[run/inputs] input '{}' is of the wrong kind (got {}, want {})",
                spec.name, kind_name(argument), spec.kind == InputSpec::Kind::integer ? "an integer" : "a tensor");
  return {nullptr, *integer};
}

template <class Given>
InputValues check_all(const plan::Plan& plan, Placement placement, std::span<const Given> arguments, bool with_constants) {
  InputValues values(plan.inputs.size());
  auto next = arguments.begin();
  for (std::size_t i = 0; i < plan.inputs.size(); ++i)
    if (with_constants || !is_constant(plan.inputs[i])) values[i] = check_input(plan.inputs[i], placement, *next++);
  return values;
}

}  // namespace

InputValues check_arguments(const plan::Plan& plan, Placement placement, std::span<const Argument> arguments) {
  check_count(plan, arguments.size(), true);
  return check_all(plan, placement, arguments, arguments.size() == plan.inputs.size());
}

InputValues check_arguments(const plan::Plan& plan, Placement placement, std::span<const Tensor> arguments) {
  check_count(plan, arguments.size(), false);
  return check_all(plan, placement, arguments, false);
}

std::string constant_text(const plan::ConstantValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "True" : "False";
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) return fmt::format("'{}'", *text);
  return "None";
}

}  // namespace reprise::runtime
