// What the rows of pointwise ops share: operands that are tensors or Python numbers, and PyTorch's typing of operands and results.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "ops/compose.h"

namespace reprise::ops {

using Number = Context::Scalar;

/// A tensor, or a Python number (tensor undefined) that becomes an immediate of the scalar program.
struct Input {
  Val tensor;
  Number number{Number::Kind::integer, 0};
};
Input input(Context& c, std::string_view name);

enum class Typing : std::uint8_t {
  common,    // operands and result in the promoted type
  real,      // the same, integers and booleans as f32
  relation,  // operands in the promoted type, result boolean
};

/// The promoted type of operands, tensors and numbers.
DType promoted_type(std::span<const Input> inputs);
/// What `t` computes in: f32 for f16 and bf16; i32 for boolean, whose sums and products count as truth when they are rounded back.
DType arithmetic_type(DType t);

/// The body of a pointwise op: one Term per operand, in the arithmetic type of the promoted type. It may return a boolean or any other type; the result is
/// cast to the op's type.
using Body = std::function<Term(Context&, std::span<const Term>)>;

/// The body that applies one scalar op to two operands.
Body body_of(ScalarOp op);

/// Broadcasts, casts to the arithmetic type of `common`, runs `body` and rounds to `result`. Numbers are rounded to `common` first when `round_numbers`.
Val pointwise(Context& c, std::span<const Input> inputs, DType common, DType result, const Body& body, bool round_numbers = false);
Val pointwise(Context& c, std::span<const Input> inputs, Typing typing, const Body& body);
Val pointwise(Context& c, const std::vector<std::string>& operands, Typing typing, const Body& body);

/// Tails of schemas of two operands.
constexpr const char* kTensorTail = ".Tensor(Tensor self, Tensor other)";
constexpr const char* kScalarTail = ".Scalar(Tensor self, Scalar other)";
constexpr const char* kDefaultTail = "(Tensor self, Tensor other)";
/// "aten::" + name + tail for every pair.
std::vector<std::string> schemas(std::initializer_list<const char*> names, std::initializer_list<const char*> tails);

void add_rows(Registry& r, const std::vector<std::string>& schemas, const Convert& convert);
/// Rows of one pointwise op over the arguments named `operands`.
void add_pointwise_rows(Registry& r, const std::vector<std::string>& schemas, std::vector<std::string> operands, Typing typing, Body body);
/// `name(Tensor self)` for every name.
void add_unary_rows(Registry& r, std::initializer_list<const char*> names, Typing typing, Body body);

/// A number argument in the type of `like`.
Term number(Context& c, std::string_view name, Term like);
/// The value of a number argument that is a constant; nullopt: symbolic.
std::optional<double> constant(const Number& n);
/// The dtype a Python number has by itself: bool, i64 or f32.
DType number_type(const Number& n);

/// The dimensions that a reduction's int, int[] or int? argument names. None is empty, and empty means all of them.
std::vector<int> axes_of(Context& c, std::string_view name, int rank);
/// How many elements those axes (empty: all) hold.
Expr count_along(Val x, const std::vector<int>& axes);
/// y, copied when it is still a view of what x is: for results that must not share memory.
Val apart(Builder& b, Val y, Val x);
/// The number of tensors that the exporter says the node returns.
int output_count(const Context& c);

// Parts of families that have a file of their own.
void add_arithmetic(Registry& r);
void add_windows(Registry& r);
void add_moments(Registry& r);  // mean, var, std, norms
void add_splits(Registry& r);
void add_rearrangements(Registry& r);  // roll, flip, shuffles, diagonals, triangles

}  // namespace reprise::ops
