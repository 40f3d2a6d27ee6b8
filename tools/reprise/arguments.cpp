#include "arguments.h"

#include <algorithm>
#include <random>
#include <set>

#include "base/check.h"
#include "reprise/runtime.h"

namespace reprise::cli {

namespace {

using plan::InputSpec;

Tensor scalar_tensor(DType dtype, auto value) {
  auto t = Tensor::empty({}, dtype);
  *t.data_as<decltype(value)>() = value;
  return t;
}

Argument constant_argument(const Tensor& array) {
  if (array.dtype() == DType::boolean) return *array.data_as<bool>();
  if (is_floating(array.dtype())) return *array.to(DType::f64).data_as<double>();
  return *array.to(DType::i64).data_as<std::int64_t>();
}

Argument constant_argument(const plan::ConstantValue& value) {
  return std::visit([](const auto& v) -> Argument { return v; }, value);
}

// All CPU devices share one memory: the same elements under another device's name.
Tensor on_device(const Tensor& t, Device device) {
  if (t.device() == device) return t;
  if (device.type != DeviceType::cpu) return runtime::copy_to(t, device);
  return Tensor::from_blob(t.data(), t.sizes(), t.dtype(), t.strides(), device, [keep = t.storage()] {});
}

// Integers stay on the host.
void place(std::vector<Argument>& arguments, const plan::Plan& plan) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    auto* t = std::get_if<Tensor>(&arguments[i]);
    if (t != nullptr && plan.inputs[i].kind == InputSpec::Kind::tensor) *t = on_device(*t, plan.settings.device);
  }
}

Argument from_array(const Tensor& array, const InputSpec& spec) {
  if (spec.kind == InputSpec::Kind::constant) return array.numel() == 1 ? constant_argument(array) : Argument(array);
  if (spec.kind == InputSpec::Kind::tensor && spec.dtype == DType::bf16 && array.dtype() == DType::f32) return array.to(DType::bf16);
  return array;
}

std::vector<std::int64_t> opt_sizes(const InputSpec& spec, const plan::Plan& plan) {
  std::vector<std::int64_t> sizes;
  for (const auto& e : spec.sizes) {
    const auto value = sym::evaluate(e, [&](const std::string& name) -> std::optional<sym::Number> {
      const int s = plan.symbols.find(name);
      return s < 0 ? std::nullopt : std::optional(sym::Number::of(plan.profiles.front().opt.at(static_cast<std::size_t>(s))));
    });
    sizes.push_back(value ? value->as_int() : 1);
  }
  return sizes;
}

Tensor random_tensor(const InputSpec& spec, const plan::Plan& plan, std::mt19937_64& engine) {
  const auto sizes = opt_sizes(spec, plan);
  if (is_floating(spec.dtype)) {
    auto wide = Tensor::empty(sizes, DType::f32);
    std::normal_distribution<float> normal;
    std::generate_n(wide.data_as<float>(), wide.numel(), [&] { return normal(engine); });
    return wide.to(spec.dtype);
  }
  auto wide = Tensor::empty(sizes, DType::i64);
  const auto sample = spec.sample.defined() && spec.sample.numel() > 0 ? spec.sample.to(DType::i64) : Tensor();
  std::uniform_int_distribution<std::int64_t> pick(0, sample.defined() ? sample.numel() - 1 : 1);
  std::generate_n(wide.data_as<std::int64_t>(), wide.numel(), [&] { return sample.defined() ? sample.data_as<std::int64_t>()[pick(engine)] : pick(engine); });
  return wide.to(spec.dtype);
}

}  // namespace

std::vector<Argument> arguments_from(const std::vector<tensor::NamedTensor>& arrays, const plan::Plan& plan) {
  std::set<std::string> used;
  const auto find = [&](const std::string& name) -> const Tensor* {
    const auto it = std::find_if(arrays.begin(), arrays.end(), [&](const auto& a) { return a.first == name; });
    if (it == arrays.end()) return nullptr;
    used.insert(name);
    return &it->second;
  };
  std::vector<Argument> arguments;
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const auto& spec = plan.inputs[i];
    const auto* array = find(fmt::format("input_{}", i));
    if (array == nullptr) array = find(spec.name);
    REPRISE_CHECK(array != nullptr || spec.kind == InputSpec::Kind::constant, InvalidArgument, "[run/inputs] no array 'input_{}' or '{}' for input {}", i,
                  spec.name, i);
    arguments.push_back(array != nullptr ? from_array(*array, spec) : constant_argument(spec.constant));
  }
  place(arguments, plan);
  for (const auto& [name, array] : arrays) {
    const bool extra = name.starts_with("input_") && !used.contains(name);
    REPRISE_CHECK(!extra, InvalidArgument, "[run/inputs] array '{}' belongs to no input (the program has {})", name, plan.inputs.size());
  }
  return arguments;
}

std::vector<Argument> random_arguments(const plan::Plan& plan, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<Argument> arguments;
  for (const auto& spec : plan.inputs) {
    if (spec.kind == InputSpec::Kind::constant) {
      arguments.push_back(constant_argument(spec.constant));
    } else if (spec.kind == InputSpec::Kind::integer) {
      const int s = spec.value.is_symbol() ? plan.symbols.find(spec.value.symbol_name()) : -1;
      arguments.push_back(s < 0 ? spec.value.as_int().value_or(1) : plan.profiles.front().opt.at(static_cast<std::size_t>(s)));
    } else {
      arguments.push_back(random_tensor(spec, plan, engine));
    }
  }
  place(arguments, plan);
  return arguments;
}

std::vector<tensor::NamedTensor> arrays_from(const std::vector<Argument>& outputs, const std::string& prefix) {
  std::vector<tensor::NamedTensor> arrays;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto name = fmt::format("{}_{}", prefix, i);
    if (const auto* t = std::get_if<Tensor>(&outputs[i]))
      arrays.emplace_back(name, t->device().type == DeviceType::cpu ? *t : runtime::copy_to(*t, Device::cpu()));
    if (const auto* v = std::get_if<std::int64_t>(&outputs[i])) arrays.emplace_back(name, scalar_tensor(DType::i64, *v));
    if (const auto* v = std::get_if<double>(&outputs[i])) arrays.emplace_back(name, scalar_tensor(DType::f64, *v));
    if (const auto* v = std::get_if<bool>(&outputs[i])) arrays.emplace_back(name, scalar_tensor(DType::boolean, *v));
  }
  return arrays;
}

std::vector<tensor::NamedTensor> widened(std::vector<tensor::NamedTensor> arrays) {
  for (auto& [name, array] : arrays) {
    if (array.dtype() == DType::bf16) array = array.to(DType::f32);
  }
  return arrays;
}

}  // namespace reprise::cli
