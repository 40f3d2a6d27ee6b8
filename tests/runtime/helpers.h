// Tensors and calls for the tests of modules.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "reprise/error.h"
#include "reprise/module.h"
#include "runtime/module_impl.h"
#include "support/plan_maker.h"

namespace reprise::test {

inline Tensor floats(const std::vector<float>& values, const std::vector<std::int64_t>& sizes, Device device = Device::cpu()) {
  Tensor tensor = Tensor::empty(sizes, DType::f32, device);
  std::copy(values.begin(), values.end(), tensor.data_as<float>());
  return tensor;
}

inline Tensor floats(const std::vector<float>& values) { return floats(values, {static_cast<std::int64_t>(values.size())}); }

template <class T = float>
std::vector<T> values(const Tensor& tensor) {
  const Tensor plain = tensor.contiguous();
  return {plain.data_as<T>(), plain.data_as<T>() + plain.numel()};
}

template <class T = float>
std::vector<T> values(const Argument& argument) {
  return values<T>(std::get<Tensor>(argument));
}

inline Module module_of(PlanMaker& m, Device device = Device::cpu()) { return runtime::make_module(m.finish(), device, make_toy_step); }

inline std::vector<Argument> call(const Module& module, const std::vector<Tensor>& inputs) { return module(std::span<const Tensor>(inputs)); }
inline std::vector<Argument> call_with(const Module& module, const std::vector<Argument>& inputs) { return module(std::span<const Argument>(inputs)); }

/// The message of the error that `body` throws, which must be of exactly this kind.
template <class Kind, class F>
std::string message_of(F&& body) {
  try {
    body();
  } catch (const Error& error) {
    return typeid(error) == typeid(Kind) ? error.what() : std::string("another kind of error: ") + error.what();
  }
  return "no error";
}

}  // namespace reprise::test
