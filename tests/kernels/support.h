// What the kernel tests share: tensors of any dtype and layout made of doubles, and comparison with an oracle that computes in double.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/op.h"
#include "kernels/kernel.h"
#include "reprise/tensor.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::test {

using Sizes = std::vector<std::int64_t>;
using Values = std::vector<double>;

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// How a tensor lies in memory: row-major; column-major (dimensions reversed); every other element of a larger buffer.
enum class Layout { rows, columns, gaps };
inline constexpr Layout kLayouts[] = {Layout::rows, Layout::columns, Layout::gaps};
std::string name(Layout layout);

inline constexpr DType kReals[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
inline constexpr DType kIntegers[] = {DType::u8, DType::i8, DType::i16, DType::i32, DType::i64, DType::u16, DType::u32, DType::u64};

std::int64_t count(const Sizes& sizes);
Tensor empty(const Sizes& sizes, DType dtype, Layout layout = Layout::rows);
/// Row-major `values`, rounded to the dtype.
Tensor tensor(const Sizes& sizes, const Values& values, DType dtype = DType::f32, Layout layout = Layout::rows);
/// One value stands for all elements (strides 0) along the dimensions where `sizes` has more than the tensor's 1.
Tensor expand(const Tensor& t, const Sizes& sizes);
/// Reproducible values: reals in [-2, 2), integers small enough for sums of products to fit.
Tensor random(const Sizes& sizes, DType dtype = DType::f32, Layout layout = Layout::rows, unsigned seed = 1);
/// Elements in row-major order.
Values values(const Tensor& t);

/// The stated tolerance for one op; `exact` where nothing accumulates.
double tolerance(DType dtype, bool exact = false);
/// max|a - b| <= tolerance · max|expected|; NaN and infinity in the same places; integers and bools exact.
void expect_near(const Tensor& actual, const Values& expected, double tolerance, const std::string& what = "");

/// Runs an op with 2 threads and gives its outputs; their dtypes and sizes are those of `outputs`.
void run(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs);

/// Calls f(index) for every index below `sizes`, in row-major order.
void for_each_index(const Sizes& sizes, const std::function<void(const Sizes&)>& f);
/// Position of `index` in row-major order.
std::int64_t position(const Sizes& sizes, const Sizes& index);

/// max(input 0 + input 1, 0) in f32, of inputs and result in `dtype`: an epilogue behind a sum.
core::ScalarProgramPtr add_relu(DType dtype);

inline core::Attr ints(const Sizes& values) { return core::exprs(values); }
inline core::Attr integer(std::int64_t value) { return sym::Expr(value); }
inline core::Attr text(const char* value) { return std::string(value); }

}  // namespace reprise::kernels::test
