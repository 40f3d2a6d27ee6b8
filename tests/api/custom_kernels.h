// Foreign kernels and converters for the custom ops of tests/models/make_custom.py.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "reprise/reprise.h"

namespace reprise::testing_support {

inline ForeignKernel scale_shift_kernel() {
  return {.schema = "mylib::scale_shift(Tensor x, Tensor? shift=None, float factor=2.0) -> Tensor",
          .host =
              [](const ForeignCall& call) {
                const auto x = call.input("x"), y = call.output();
                const auto columns = x.sizes.back();
                const float* shift = call.has_input("shift") ? call.input("shift").data_as<float>() : nullptr;
                for (std::int64_t i = 0; i < x.numel(); ++i)
                  y.data_as<float>()[i] = x.data_as<float>()[i] * static_cast<float>(call.real("factor")) + (shift == nullptr ? 0 : shift[i % columns]);
              },
          .supports_dynamic_shapes = true};
}

inline ForeignKernel describe_kernel() {
  return {.schema = "mylib::describe(Tensor[] parts, SymInt[] sizes, *, str mode=\"sum\", bool negate=False) -> (Tensor, Tensor)",
          .host =
              [](const ForeignCall& call) {
                for (std::size_t p = 0; p < call.inputs(); ++p) {
                  const auto part = call.input(p);
                  const float *begin = part.data_as<float>(), *end = begin + part.numel();
                  float found = *std::max_element(begin, end);
                  if (call.text("mode") == "sum") {
                    found = 0;
                    for (const float* v = begin; v != end; ++v) found += *v;
                  }
                  call.output(0).data_as<float>()[p] = call.flag("negate") ? -found : found;
                }
                std::copy(call.integers("sizes").begin(), call.integers("sizes").end(), call.output(1).data_as<std::int64_t>());
              },
          .infer =
              [](const OpNode& node) {
                const auto parts = node.tensor_infos("parts");
                return std::vector<TensorInfo>{{parts[0].dtype, {static_cast<std::int64_t>(parts.size())}},
                                               {DType::i64, {static_cast<std::int64_t>(node.integers("sizes").size())}}};
              },
          .supports_dynamic_shapes = true};
}

inline ForeignKernel accumulate_kernel() {
  return {.schema = "mylib::accumulate_(Tensor(a!) total, Tensor x) -> ()",
          .host =
              [](const ForeignCall& call) {
                const auto total = call.input("total"), x = call.input("x");
                for (std::int64_t i = 0; i < x.numel(); ++i) total.data_as<float>()[i % total.numel()] += x.data_as<float>()[i];
              },
          .supports_dynamic_shapes = true};
}

inline ForeignKernel advance_kernel() {
  return {.schema = "mylib::advance_(Tensor(a!)[] parts, Tensor step, Tensor(b!)? count=None) -> Tensor",
          .host =
              [](const ForeignCall& call) {
                const std::size_t parts = call.inputs() - 1 - (call.has_input("count") ? 1 : 0);
                const auto step = call.input("step");
                for (std::size_t p = 0; p < parts; ++p)
                  for (std::int64_t i = 0; i < step.numel(); ++i) call.input(p).data_as<float>()[i] += step.data_as<float>()[i];
                if (call.has_input("count")) *call.input("count").data_as<float>() += 1;
                const float* first = call.input(0).data_as<float>();
                *call.output().data_as<float>() = std::accumulate(first, first + step.numel(), 0.0F);
              },
          .supports_dynamic_shapes = true};
}

inline ForeignKernel positive_kernel() {
  return {.schema = "mylib::positive(Tensor x) -> Tensor",
          .host =
              [](const ForeignCall& call) {
                const auto x = call.input(0);
                std::copy_if(x.data_as<float>(), x.data_as<float>() + x.numel(), call.output().data_as<float>(), [](float v) { return v > 0; });
              },
          .supports_dynamic_shapes = true,
          .requires_output_allocator = true,
          .host_sizes =
              [](const ForeignCall& call) {
                const auto x = call.input(0);
                *call.output().data_as<std::int64_t>() = std::count_if(x.data_as<float>(), x.data_as<float>() + x.numel(), [](float v) { return v > 0; });
              }};
}

inline std::vector<ForeignKernel> all_kernels() { return {scale_shift_kernel(), describe_kernel(), accumulate_kernel(), advance_kernel(), positive_kernel()}; }

/// scale_shift in core ops.
inline Converter scale_shift_converter() {
  return {.schema = "mylib::scale_shift(Tensor x, Tensor? shift=None, float factor=2.0) -> Tensor",
          .convert =
              [](ConversionContext& context) {
                auto& b = context.builder();
                const Value scaled = b.binary("mul", context.value("x"), context.real("factor"));
                return std::vector{context.is_none("shift") ? scaled : b.binary("add", scaled, context.value("shift"))};
              },
          .supports_dynamic_shapes = true};
}

}  // namespace reprise::testing_support
