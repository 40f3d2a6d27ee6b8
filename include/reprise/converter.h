// Converters: how a compilation rewrites an op, in terms of the ops that back ends know. Part of the compiler library; docs/converters.md is the guide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "reprise/dtype.h"
#include "reprise/op_node.h"
#include "reprise/tensor.h"

namespace reprise {

/// A tensor of the graph that is being built. A handle; good until the converter returns.
class Value {
 public:
  Value() = default;  // undefined: an optional operand that is absent
  Value(void* graph, std::int32_t id) : graph_(graph), id_(id) {}
  [[nodiscard]] bool defined() const { return graph_ != nullptr; }
  [[nodiscard]] DType dtype() const;
  [[nodiscard]] std::vector<SymInt> sizes() const;
  [[nodiscard]] int rank() const;
  [[nodiscard]] SymInt size(int dim) const;  // negative counts from the end

  [[nodiscard]] void* graph() const { return graph_; }
  [[nodiscard]] std::int32_t id() const { return id_; }

 private:
  void* graph_ = nullptr;
  std::int32_t id_ = -1;
};

/// Builds the graph: a function per op, with shapes inferred and checked. Dimensions may be negative (from the end); sizes may be symbolic. Views copy nothing
/// where strides allow it; pointwise ops are fused by later passes, so a formula may be written step by step. What does not fit throws ShapeError or
/// InvalidArgument, and is a failed build of the node (CompileOptions::pass_through_build_failures).
class GraphBuilder {
 public:
  explicit GraphBuilder(void* builder) : builder_(builder) {}

  // ---- tensors from nothing ----
  Value constant(const Tensor& data);  // a weight of the module; on the CPU, any strides
  Value scalar(double value, DType dtype);
  Value scalar(const SymInt& value, DType dtype);
  Value fill(std::span<const SymInt> sizes, double value, DType dtype);
  Value iota(const SymInt& count, std::int64_t start, std::int64_t step, DType dtype);  // of integers

  // ---- pointwise, after PyTorch's broadcasting and type promotion ----
  /// "neg", "abs", "sign", "reciprocal", "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan",
  /// "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "erfinv", "lgamma", "digamma", "sigmoid", "floor", "ceil", "trunc", "round", "is_nan",
  /// "is_inf", "is_finite", "logical_not", "bit_not". Functions of reals make f32 of integers.
  Value unary(std::string_view op, Value x);
  /// "add", "sub", "mul", "div" (of reals), "floor_div", "trunc_div", "remainder", "fmod", "pow", "minimum", "maximum", "fmin", "fmax", "atan2", "hypot",
  /// "copysign"; "bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"; with a boolean result "eq", "ne", "lt", "le", "gt", "ge", "logical_and",
  /// "logical_or", "logical_xor".
  Value binary(std::string_view op, Value a, Value b);
  /// With a number, in the dtype of `a` (f32 for a number with a fraction beside integers).
  Value binary(std::string_view op, Value a, double b);
  Value where(Value condition, Value a, Value b);
  Value cast(Value x, DType dtype);

  // ---- views ----
  Value reshape(Value x, std::span<const SymInt> sizes);
  Value permute(Value x, std::span<const int> dims);
  Value transpose(Value x, int a, int b);
  Value expand(Value x, std::span<const SymInt> sizes);
  Value unsqueeze(Value x, int dim);
  Value squeeze(Value x, int dim);
  Value slice(Value x, int dim, const SymInt& start, const SymInt& length, std::int64_t step = 1);  // inside the dimension
  Value select(Value x, int dim, const SymInt& index);                                              // not negative
  Value flatten(Value x, int first, int last);
  Value contiguous(Value x);

  // ---- reductions and what goes along a dimension ----
  /// "sum", "prod", "max", "min", "any", "all", "argmax", "argmin" (one axis); no axes: all of them.
  Value reduce(std::string_view kind, Value x, std::span<const int> axes, bool keepdim = false);
  Value mean(Value x, std::span<const int> axes, bool keepdim = false);
  Value softmax(Value x, int dim, bool log = false);
  Value cumsum(Value x, int dim);
  std::pair<Value, Value> sort(Value x, int dim, bool descending = false, bool stable = true);  // values, indices
  std::pair<Value, Value> topk(Value x, const SymInt& k, int dim, bool largest = true);

  // ---- products, windows, norms; undefined bias, weight and mask: none ----
  Value matmul(Value a, Value b, Value bias = {});
  struct Conv {
    std::vector<std::int64_t> stride = {}, padding = {}, dilation = {}, output_padding = {};  // one for all dimensions, or one each; none: 1 or 0
    std::int64_t groups = 1;
    bool transposed = false;
  };
  Value conv(Value x, Value weight, Value bias, const Conv& options);
  struct Pool {
    std::vector<std::int64_t> kernel, stride = {}, padding = {}, dilation = {};
    bool ceil_mode = false, count_include_pad = true;
  };
  Value max_pool(Value x, const Pool& options);
  Value avg_pool(Value x, const Pool& options);
  Value layer_norm(Value x, int dims, Value weight, Value bias, double eps);  // over the last `dims` dimensions
  Value rms_norm(Value x, int dims, Value weight, double eps);
  Value group_norm(Value x, std::int64_t groups, Value weight, Value bias, double eps);
  Value batch_norm(Value x, Value mean, Value variance, Value weight, Value bias, double eps);
  /// Of q[…, L, E], k[…, S, E], v[…, S, Ev]; mask: boolean (true takes part) or added, broadcast to […, L, S].
  Value attention(Value q, Value k, Value v, Value mask, bool causal, double scale);

  // ---- moving elements ----
  Value concat(std::span<const Value> parts, int dim);
  Value pad(Value x, std::span<const SymInt> before, std::span<const SymInt> after, double value = 0);  // per dimension
  Value gather(Value x, Value index, int dim);                                                          // as torch.gather
  Value scatter(Value x, Value index, Value source, int dim, std::string_view reduce = "none");         // "sum", "prod", "mean", "max", "min"
  Value index_select(Value x, Value index, int dim);

  /// Positions of what is not 0, [count, rank] i64. `count`: the size that the exporter gave it (OpNode::outputs), a symbol that gets its value here. The
  /// converter then says requires_output_allocator.
  Value nonzero(Value x, const SymInt& count);

  /// Writes `source` (cast and broadcast) into `x`, an argument of a node that changes it in place, or a view of it.
  void write(Value x, Value source);

 private:
  void* builder_;
};

/// What a converter sees of its node.
class ConversionContext : public OpNode {
 public:
  [[nodiscard]] virtual GraphBuilder& builder() = 0;
  /// A tensor argument; a number becomes a 0-d tensor.
  [[nodiscard]] virtual Value value(std::string_view argument) = 0;
  [[nodiscard]] virtual Value value_or_none(std::string_view argument) = 0;        // undefined for None
  [[nodiscard]] virtual std::vector<Value> values(std::string_view argument) = 0;  // of a list; undefined for None
};

/// The rewrite of one op. Its results have the dtypes that the exporter gives the node's, and its sizes as far as can be proved; else the build of the node
/// fails.
struct Converter {
  /// The op. Ours go by name ("aten.mul.Tensor", with or without "torch.ops."); others by their schema, as torch.library.define has it:
  /// "mylib::foo(Tensor x, float scale=1.0) -> Tensor".
  std::string schema;
  /// Returns the node's tensor results in order. Called once for every node, on the thread that compiles; for several compilations at once when several run.
  std::function<std::vector<Value>(ConversionContext& context)> convert;
  CapabilityValidator capability_validator = {};
  ConverterPriority priority = ConverterPriority::standard;
  /// Whether it takes nodes with symbolic sizes.
  bool supports_dynamic_shapes = false;
  /// Sizes of the results depend on data.
  bool requires_output_allocator = false;
};

/// For all compilations that start from now on. Converters of one op are asked in the order of their priority, the newest first, ours last of their priority;
/// the first that supports the node's shapes and whose validator accepts it takes it. Thread safe. Throws InvalidArgument: a bad schema, no function.
void register_converter(Converter converter);
/// All that were registered for an op ("mylib.foo.default"); ours stay. Gives their number.
std::size_t unregister_converters(std::string_view target);

}  // namespace reprise
