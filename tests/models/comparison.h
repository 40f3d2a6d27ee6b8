// Modules against the arrays that PyTorch gave for the same inputs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "reprise/reprise.h"

namespace reprise::testing_support {

using Arrays = std::map<std::string, Tensor>;

inline Arrays load_arrays(const std::string& path) {
  Arrays arrays;
  for (auto& [name, array] : load_npz(path)) arrays.emplace(name, array);
  return arrays;
}

/// Arrays `input_<i>` as arguments of `module`: constants as Python values, bf16 from f32.
inline std::vector<Argument> arguments_of(const Module& module, const Arrays& arrays) {
  std::vector<Argument> arguments;
  const auto signature = module.inputs();
  for (std::size_t i = 0; i < signature.size(); ++i) {
    const auto& array = arrays.at("input_" + std::to_string(i));
    if (signature[i].kind != SignatureEntry::Kind::constant) {
      arguments.emplace_back(signature[i].dtype == DType::bf16 ? array.to(DType::bf16) : array);
    } else if (array.dtype() == DType::boolean) {
      arguments.emplace_back(*array.data_as<bool>());
    } else if (is_floating(array.dtype())) {
      arguments.emplace_back(*array.to(DType::f64).data_as<double>());
    } else {
      arguments.emplace_back(*array.to(DType::i64).data_as<std::int64_t>());
    }
  }
  return arguments;
}

inline std::vector<double> values_of(const Argument& argument) {
  if (const auto* t = std::get_if<Tensor>(&argument)) {
    const auto wide = t->to(DType::f64).contiguous();
    return {wide.data_as<double>(), wide.data_as<double>() + wide.numel()};
  }
  if (const auto* i = std::get_if<std::int64_t>(&argument)) return {static_cast<double>(*i)};
  if (const auto* d = std::get_if<double>(&argument)) return {*d};
  if (const auto* b = std::get_if<bool>(&argument)) return {*b ? 1.0 : 0.0};
  return {};
}

/// max|a - b| <= tolerance * max|b|, NaN and infinities in the same places.
inline void expect_close(const Argument& got, const Tensor& want, double tolerance, const std::string& what) {
  if (const auto* t = std::get_if<Tensor>(&got)) {
    ASSERT_EQ(t->sizes(), want.sizes()) << what;
  }
  const auto a = values_of(got), b = values_of(Argument(want));
  ASSERT_EQ(a.size(), b.size()) << what;
  double scale = 0, worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::isnan(a[i]), std::isnan(b[i])) << what << " at " << i;
    if (!std::isfinite(b[i])) {
      ASSERT_TRUE(std::isnan(b[i]) || a[i] == b[i]) << what << " at " << i;
      continue;
    }
    scale = std::max(scale, std::abs(b[i]));
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  EXPECT_LE(worst, tolerance * scale) << what;
}

inline void expect_outputs(const std::vector<Argument>& got, const Arrays& want, const std::string& prefix, double tolerance) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto it = want.find(prefix + "_" + std::to_string(i));
    if (it != want.end()) expect_close(got[i], it->second, is_floating(it->second.dtype()) ? tolerance : 0, it->first);
  }
}

/// Of one operator, relative to the largest value, by each result's dtype; integers are compared exactly.
inline void expect_operator_outputs(const std::vector<Argument>& got, const Arrays& want, const std::string& prefix) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto it = want.find(prefix + "_" + std::to_string(i));
    if (it == want.end()) continue;
    const auto* tensor = std::get_if<Tensor>(&got[i]);
    const DType dtype = tensor == nullptr ? it->second.dtype() : tensor->dtype();
    const double tolerance = dtype == DType::bf16 ? 1.6e-2 : dtype == DType::f16 ? 2e-3 : 1e-5;
    expect_close(got[i], it->second, is_floating(dtype) ? tolerance : 0, it->first);
  }
}

inline bool bit_equal(const Argument& a, const Argument& b) {
  const auto *x = std::get_if<Tensor>(&a), *y = std::get_if<Tensor>(&b);
  if (x == nullptr || y == nullptr) return values_of(a) == values_of(b);
  return x->dtype() == y->dtype() && x->sizes() == y->sizes() && std::equal(x->data_as<char>(), x->data_as<char>() + x->nbytes(), y->data_as<char>());
}

}  // namespace reprise::testing_support
