// The public builder, in terms of ours.
#include <algorithm>
#include <array>
#include <numeric>

#include "api/compiler/op_node_view.h"
#include "api/compiler/values.h"
#include "base/check.h"
#include "ops/compose.h"
#include "reprise/converter.h"

namespace reprise {
namespace {

using api::to_shape;
using api::to_val;
using core::ScalarOp;
using ir::Val;
using sym::Expr;

ir::Builder& of(void* builder) { return *static_cast<ir::Builder*>(builder); }
Value wrap(void* builder, const Val& value) { return api::to_value(of(builder).graph(), value); }

constexpr auto kUnary = std::to_array<ScalarOp>({
    ScalarOp::neg,   ScalarOp::abs,   ScalarOp::sign,  ScalarOp::reciprocal, ScalarOp::sqrt,   ScalarOp::rsqrt,     ScalarOp::exp,         ScalarOp::exp2,
    ScalarOp::expm1, ScalarOp::log,   ScalarOp::log2,  ScalarOp::log10,      ScalarOp::log1p,  ScalarOp::sin,       ScalarOp::cos,         ScalarOp::tan,
    ScalarOp::asin,  ScalarOp::acos,  ScalarOp::atan,  ScalarOp::sinh,       ScalarOp::cosh,   ScalarOp::tanh,      ScalarOp::asinh,       ScalarOp::acosh,
    ScalarOp::atanh, ScalarOp::erf,   ScalarOp::erfc,  ScalarOp::erfinv,     ScalarOp::lgamma, ScalarOp::digamma,   ScalarOp::sigmoid,     ScalarOp::floor,
    ScalarOp::ceil,  ScalarOp::trunc, ScalarOp::round, ScalarOp::is_nan,     ScalarOp::is_inf, ScalarOp::is_finite, ScalarOp::logical_not, ScalarOp::bit_not,
});
constexpr auto kBinary = std::to_array<ScalarOp>({
    ScalarOp::add,       ScalarOp::sub,        ScalarOp::mul,         ScalarOp::div,         ScalarOp::floor_div,  ScalarOp::trunc_div,
    ScalarOp::remainder, ScalarOp::fmod,       ScalarOp::pow,         ScalarOp::minimum,     ScalarOp::maximum,    ScalarOp::fmin,
    ScalarOp::fmax,      ScalarOp::atan2,      ScalarOp::hypot,       ScalarOp::copysign,    ScalarOp::bit_and,    ScalarOp::bit_or,
    ScalarOp::bit_xor,   ScalarOp::shift_left, ScalarOp::shift_right, ScalarOp::eq,          ScalarOp::ne,         ScalarOp::lt,
    ScalarOp::le,        ScalarOp::gt,         ScalarOp::ge,          ScalarOp::logical_and, ScalarOp::logical_or, ScalarOp::logical_xor,
});

template <std::size_t N>
ScalarOp find(const std::array<ScalarOp, N>& ops, std::string_view wanted) {
  const auto* const found = std::find_if(ops.begin(), ops.end(), [&](ScalarOp op) { return core::name(op) == wanted; });
  if (found != ops.end()) return *found;
  std::vector<std::string_view> names;
  for (const ScalarOp op : ops) names.push_back(core::name(op));
  REPRISE_FAIL(InvalidArgument, "[ops/builder] there is no such pointwise op (got '{}', want one of: {})", wanted, fmt::join(names, ", "));
}

bool is_logical(ScalarOp op) { return op >= ScalarOp::logical_and && op <= ScalarOp::logical_not; }
/// Integers become f32 first.
bool is_of_reals(ScalarOp op) {
  constexpr std::array kAny = {ScalarOp::neg, ScalarOp::abs, ScalarOp::sign, ScalarOp::bit_not, ScalarOp::is_nan, ScalarOp::is_inf, ScalarOp::is_finite};
  if (op == ScalarOp::div || op == ScalarOp::atan2 || op == ScalarOp::hypot || op == ScalarOp::copysign) return true;
  return std::find(kUnary.begin(), kUnary.end(), op) != kUnary.end() && !is_logical(op) && std::find(kAny.begin(), kAny.end(), op) == kAny.end();
}

Val prepared(ir::Builder& b, ScalarOp op, Val x) {
  if (is_logical(op)) return b.cast(x, DType::boolean);
  return is_of_reals(op) ? b.cast(x, ops::to_float(x.dtype())) : x;
}

sym::Shape shape(const std::vector<std::int64_t>& values) { return {values.begin(), values.end()}; }

constexpr std::array kReductions = {std::pair{"sum", ir::ReduceKind::sum},       std::pair{"prod", ir::ReduceKind::prod},
                                    std::pair{"max", ir::ReduceKind::max},       std::pair{"min", ir::ReduceKind::min},
                                    std::pair{"any", ir::ReduceKind::any},       std::pair{"all", ir::ReduceKind::all},
                                    std::pair{"argmax", ir::ReduceKind::argmax}, std::pair{"argmin", ir::ReduceKind::argmin}};

ir::PoolOptions pool_options(const GraphBuilder::Pool& o) {
  return {.kernel = shape(o.kernel),
          .stride = shape(o.stride),
          .padding = shape(o.padding),
          .dilation = shape(o.dilation),
          .ceil_mode = o.ceil_mode,
          .count_include_pad = o.count_include_pad};
}

}  // namespace

// ---- tensors from nothing ----

Value GraphBuilder::constant(const Tensor& data) {
  auto& graph = of(builder_).graph();
  return {&graph, graph.add_constant("constant", data.contiguous())};
}
Value GraphBuilder::scalar(double value, DType dtype) { return wrap(builder_, of(builder_).scalar(value, dtype)); }
Value GraphBuilder::scalar(const SymInt& value, DType dtype) { return wrap(builder_, of(builder_).scalar(value.impl().expr, dtype)); }
Value GraphBuilder::fill(std::span<const SymInt> sizes, double value, DType dtype) {
  auto& b = of(builder_);
  return wrap(builder_, b.copy(b.broadcast_to(b.scalar(value, dtype), to_shape(sizes))));
}
Value GraphBuilder::iota(const SymInt& count, std::int64_t start, std::int64_t step, DType dtype) {
  auto& b = of(builder_);
  return wrap(builder_, b.cast(b.iota(count.impl().expr, Expr(start), Expr(step), DType::i64), dtype));
}

// ---- pointwise ----

Value GraphBuilder::unary(std::string_view op, Value x) {
  auto& b = of(builder_);
  const ScalarOp code = find(kUnary, op);
  return wrap(builder_, b.unary(code, prepared(b, code, to_val(x))));
}
Value GraphBuilder::binary(std::string_view op, Value a, Value b) {
  auto& builder = of(builder_);
  const ScalarOp code = find(kBinary, op);
  const auto [x, y] = ops::promoted(builder, prepared(builder, code, to_val(a)), prepared(builder, code, to_val(b)));
  return wrap(builder_, builder.binary(code, x, y));
}
Value GraphBuilder::binary(std::string_view op, Value a, double b) {
  const bool whole = b == static_cast<double>(static_cast<std::int64_t>(b));
  return binary(op, a, scalar(b, is_floating(a.dtype()) || whole ? a.dtype() : DType::f32));
}
Value GraphBuilder::where(Value condition, Value a, Value b) {
  auto& builder = of(builder_);
  const auto [x, y] = ops::promoted(builder, to_val(a), to_val(b));
  return wrap(builder_, builder.where(to_val(condition), x, y));
}
Value GraphBuilder::cast(Value x, DType dtype) { return wrap(builder_, of(builder_).cast(to_val(x), dtype)); }

// ---- views ----

Value GraphBuilder::reshape(Value x, std::span<const SymInt> sizes) { return wrap(builder_, of(builder_).reshape(to_val(x), to_shape(sizes))); }
Value GraphBuilder::permute(Value x, std::span<const int> dims) { return wrap(builder_, of(builder_).permute(to_val(x), dims)); }
Value GraphBuilder::transpose(Value x, int a, int b) { return wrap(builder_, of(builder_).transpose(to_val(x), a, b)); }
Value GraphBuilder::expand(Value x, std::span<const SymInt> sizes) { return wrap(builder_, of(builder_).expand(to_val(x), to_shape(sizes))); }
Value GraphBuilder::unsqueeze(Value x, int dim) { return wrap(builder_, of(builder_).unsqueeze(to_val(x), dim)); }
Value GraphBuilder::squeeze(Value x, int dim) { return wrap(builder_, of(builder_).squeeze(to_val(x), dim)); }
Value GraphBuilder::slice(Value x, int dim, const SymInt& start, const SymInt& length, std::int64_t step) {
  return wrap(builder_, of(builder_).slice(to_val(x), dim, start.impl().expr, length.impl().expr, step));
}
Value GraphBuilder::select(Value x, int dim, const SymInt& index) { return wrap(builder_, of(builder_).select(to_val(x), dim, index.impl().expr)); }
Value GraphBuilder::flatten(Value x, int first, int last) { return wrap(builder_, of(builder_).flatten(to_val(x), first, last)); }
Value GraphBuilder::contiguous(Value x) { return wrap(builder_, of(builder_).contiguous(to_val(x))); }

// ---- reductions ----

Value GraphBuilder::reduce(std::string_view kind, Value x, std::span<const int> axes, bool keepdim) {
  auto& b = of(builder_);
  const auto* const found = std::find_if(kReductions.begin(), kReductions.end(), [&](const auto& r) { return r.first == kind; });
  REPRISE_CHECK(found != kReductions.end(), InvalidArgument, "[ops/builder] there is no reduction '{}'", kind);
  const bool sums = kind == "sum" || kind == "prod", logical = kind == "any" || kind == "all", positions = kind.starts_with("arg");
  const DType dtype = logical ? DType::boolean : positions || (sums && !is_floating(x.dtype())) ? DType::i64 : x.dtype();
  const Val operand = logical ? b.cast(to_val(x), DType::boolean) : to_val(x);
  return wrap(builder_, b.reduce(found->second, operand, {axes.begin(), axes.end()}, keepdim, dtype));
}
Value GraphBuilder::mean(Value x, std::span<const int> axes, bool keepdim) {
  const Value real = cast(x, ops::to_float(x.dtype()));
  Expr count = 1;
  for (int d = 0; d < x.rank(); ++d) {
    const bool summed = axes.empty() || std::any_of(axes.begin(), axes.end(), [&](int a) { return (a < 0 ? a + x.rank() : a) == d; });
    if (summed) count = count * to_val(x).size(d);
  }
  return binary("div", reduce("sum", real, axes, keepdim), wrap(builder_, of(builder_).scalar(count, real.dtype())));
}
Value GraphBuilder::softmax(Value x, int dim, bool log) { return wrap(builder_, of(builder_).softmax(to_val(x), dim, log, ops::to_float(x.dtype()))); }
Value GraphBuilder::cumsum(Value x, int dim) {
  return wrap(builder_, of(builder_).scan(ir::ScanKind::sum, to_val(x), dim, is_floating(x.dtype()) ? x.dtype() : DType::i64));
}
std::pair<Value, Value> GraphBuilder::sort(Value x, int dim, bool descending, bool stable) {
  const auto [values, indices] = of(builder_).sort(to_val(x), dim, descending, stable);
  return {wrap(builder_, values), wrap(builder_, indices)};
}
std::pair<Value, Value> GraphBuilder::topk(Value x, const SymInt& k, int dim, bool largest) {
  const auto [values, indices] = of(builder_).topk(to_val(x), k.impl().expr, dim, largest, true);
  return {wrap(builder_, values), wrap(builder_, indices)};
}

// ---- products, windows, norms ----

Value GraphBuilder::matmul(Value a, Value b, Value bias) { return wrap(builder_, of(builder_).matmul(to_val(a), to_val(b), to_val(bias))); }
Value GraphBuilder::conv(Value x, Value weight, Value bias, const Conv& o) {
  return wrap(builder_, of(builder_).conv(to_val(x), to_val(weight), to_val(bias),
                                          {.stride = shape(o.stride),
                                           .padding = shape(o.padding),
                                           .dilation = shape(o.dilation),
                                           .output_padding = shape(o.output_padding),
                                           .groups = o.groups,
                                           .transposed = o.transposed}));
}
Value GraphBuilder::max_pool(Value x, const Pool& options) { return wrap(builder_, of(builder_).max_pool(to_val(x), pool_options(options))); }
Value GraphBuilder::avg_pool(Value x, const Pool& options) { return wrap(builder_, of(builder_).avg_pool(to_val(x), pool_options(options))); }
Value GraphBuilder::layer_norm(Value x, int dims, Value weight, Value bias, double eps) {
  return wrap(builder_, of(builder_).layer_norm(to_val(x), dims, to_val(weight), to_val(bias), eps, false).y);
}
Value GraphBuilder::rms_norm(Value x, int dims, Value weight, double eps) {
  return wrap(builder_, of(builder_).rms_norm(to_val(x), dims, to_val(weight), eps, false).y);
}
Value GraphBuilder::group_norm(Value x, std::int64_t groups, Value weight, Value bias, double eps) {
  return wrap(builder_, of(builder_).group_norm(to_val(x), groups, to_val(weight), to_val(bias), eps, false).y);
}
Value GraphBuilder::batch_norm(Value x, Value mean, Value variance, Value weight, Value bias, double eps) {
  return wrap(builder_, of(builder_).batch_norm(to_val(x), to_val(mean), to_val(variance), to_val(weight), to_val(bias), eps));
}
Value GraphBuilder::attention(Value q, Value k, Value v, Value mask, bool causal, double scale) {
  return wrap(builder_, of(builder_).attention(to_val(q), to_val(k), to_val(v), to_val(mask), causal, scale));
}

// ---- moving elements ----

Value GraphBuilder::concat(std::span<const Value> parts, int dim) {
  std::vector<Val> values;
  for (const Value& part : parts) values.push_back(to_val(part));
  return wrap(builder_, of(builder_).concat(values, dim));
}
Value GraphBuilder::pad(Value x, std::span<const SymInt> before, std::span<const SymInt> after, double value) {
  return wrap(builder_, of(builder_).pad(to_val(x), "constant", to_shape(before), to_shape(after), value));
}
Value GraphBuilder::gather(Value x, Value index, int dim) { return wrap(builder_, of(builder_).gather(to_val(x), to_val(index), dim)); }
Value GraphBuilder::scatter(Value x, Value index, Value source, int dim, std::string_view reduce) {
  return wrap(builder_, of(builder_).scatter(to_val(x), to_val(index), to_val(source), dim, reduce));
}
Value GraphBuilder::index_select(Value x, Value index, int dim) { return wrap(builder_, of(builder_).index_select(to_val(x), to_val(index), dim)); }
Value GraphBuilder::nonzero(Value x, const SymInt& count) { return wrap(builder_, of(builder_).nonzero(to_val(x), count.impl().expr)); }
void GraphBuilder::write(Value x, Value source) { of(builder_).write(to_val(x), to_val(source)); }

}  // namespace reprise
