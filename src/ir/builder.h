// Builds core graphs: one function per core op, with shapes inferred and checked, and PyTorch's view operations as aliases.
//
// A `Val` is a handle (graph + id), cheap to copy. Dimensions may be negative (from the end) everywhere. Sizes may be symbolic: two sizes that cannot be
// proved equal and are not constant 1 are taken as equal (the exporter guards them); constant sizes that differ throw ShapeError.
// Nodes are appended to the builder's current region, with the current segment, name and trace.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/scalar_program.h"
#include "ir/graph.h"

namespace reprise::ir {

class Builder;

class Val {
 public:
  Val() = default;
  Val(Graph* graph, ValueId id) : graph_(graph), id_(id) {}
  [[nodiscard]] bool defined() const { return id_ != kNoValue; }
  [[nodiscard]] ValueId id() const { return id_; }
  [[nodiscard]] const Value& value() const { return graph_->at(id_); }
  [[nodiscard]] DType dtype() const { return value().dtype; }
  [[nodiscard]] const sym::Shape& sizes() const { return value().sizes; }
  [[nodiscard]] int rank() const { return static_cast<int>(sizes().size()); }
  [[nodiscard]] const sym::Expr& size(int dim) const { return sizes()[static_cast<std::size_t>(dim < 0 ? dim + rank() : dim)]; }
  [[nodiscard]] sym::Expr numel() const { return sym::product(sizes()); }

 private:
  Graph* graph_ = nullptr;
  ValueId id_ = kNoValue;
};

/// Writes scalar programs: `Sv` is an instruction. Operands of one call must share a dtype (cast first); constants take a dtype.
struct Sv {
  int id = -1;
  DType type = DType::f32;
};
class ScalarBuilder {
 public:
  explicit ScalarBuilder(core::ScalarProgram& program) : program_(&program) {}
  Sv input(int index, DType type);
  Sv constant(double value, DType type);  // rounds to the dtype; integers exactly up to 2^53
  Sv constant_int(std::int64_t value, DType type);
  Sv symbol(const sym::Expr& e, DType type);  // a constant when `e` is one
  Sv cast(Sv a, DType type);                  // a itself when it has the dtype
  Sv bitcast(Sv a, DType type);               // the same bits; dtypes of one size
  Sv op(core::ScalarOp op, Sv a);
  Sv op(core::ScalarOp op, Sv a, Sv b);
  Sv op(core::ScalarOp op, Sv a, Sv b, Sv c);
  Sv where(Sv condition, Sv a, Sv b);
  void output(Sv a);

 private:
  core::ScalarProgram* program_;
};

/// One value for all spatial dimensions will do, and none stands for the default.
struct ConvOptions {
  sym::Shape stride, padding, dilation, output_padding;
  std::int64_t groups = 1;
  bool transposed = false;
};
/// `kernel` has one size per spatial dimension; the others may hold one for all, or none (stride: the kernel).
struct PoolOptions {
  sym::Shape kernel, stride, padding, dilation;
  bool ceil_mode = false, count_include_pad = true;
  std::int64_t divisor = 0;
};
enum class ReduceKind { sum, prod, max, min, any, all, argmax, argmin };
enum class ScanKind { sum, prod, max, min, logsumexp };

class Builder {
 public:
  explicit Builder(Graph& graph);
  [[nodiscard]] Graph& graph() { return *graph_; }

  // ---- where nodes go ----
  void set_source(std::string name, std::string trace, int segment);
  /// Runs `fill` with nodes going to a new region; returns it.
  Region region(const std::function<std::vector<Val>(std::span<const Val> params)>& fill, std::vector<Val> params = {});
  /// Every symbol of `e` has a value by now: it is the size of an input, or a node yields it. Others name what only the exporter had (storage offsets).
  [[nodiscard]] bool knows(const sym::Expr& e) const;
  /// Appends a node as it is; outputs are made by the caller with `new_root`.
  Node& append(core::Op op, std::vector<ValueId> inputs, std::vector<ValueId> outputs, core::Attrs attrs = {});
  Val new_root(DType dtype, sym::Shape sizes, std::string_view hint = {});

  // ---- views (aliases; no node unless said) ----
  Val as_strided(Val x, sym::Shape sizes, sym::Shape strides, sym::Expr offset);  // offset from the root's first element
  Val permute(Val x, std::span<const int> dims);
  Val transpose(Val x, int a, int b);
  Val expand(Val x, sym::Shape sizes);  // PyTorch's expand; sizes may hold -1
  Val unsqueeze(Val x, int dim);
  Val squeeze(Val x, int dim);                                                          // unchanged when the size is not constant 1
  Val slice(Val x, int dim, sym::Expr start, sym::Expr length, std::int64_t step = 1);  // start, length already clamped
  Val select(Val x, int dim, sym::Expr index);                                          // index already made non-negative
  Val diagonal(Val x, std::int64_t offset, int dim1, int dim2);
  /// The view if strides allow it provably; nullopt otherwise. `sizes` complete (no -1).
  std::optional<Val> try_view(Val x, sym::Shape sizes);
  /// try_view, or a contiguous copy and then the view (a copy node).
  Val reshape(Val x, sym::Shape sizes);
  Val flatten(Val x, int first, int last);
  /// A view with the same elements and other size expressions that are known to be equal (adopts the exporter's form).
  Val with_sizes(Val x, sym::Shape sizes);
  Val broadcast_to(Val x, const sym::Shape& sizes);  // expand with missing leading dimensions; x itself when nothing changes
  static sym::Shape broadcast_shapes(const sym::Shape& a, const sym::Shape& b);

  // ---- pointwise ----
  /// Broadcasts `inputs` together, runs `body` per element and makes one root per ScalarBuilder::output.
  std::vector<Val> pointwise(std::span<const Val> inputs, const std::function<void(ScalarBuilder&, std::span<const Sv>)>& body);
  /// One output.
  Val map(std::span<const Val> inputs, const std::function<Sv(ScalarBuilder&, std::span<const Sv>)>& body);
  Val map(Val a, const std::function<Sv(ScalarBuilder&, Sv)>& body);
  Val map(Val a, Val b, const std::function<Sv(ScalarBuilder&, Sv, Sv)>& body);
  Val unary(core::ScalarOp op, Val x);
  Val binary(core::ScalarOp op, Val a, Val b);  // same dtype
  Val cast(Val x, DType dtype);                 // x itself when it has it
  Val contiguous(Val x);                        // a copy node only where strides are not row-major
  Val copy(Val x);                              // always a new root
  Val where(Val condition, Val a, Val b);

  // ---- one per core op (core/op.h) ----
  Val reduce(ReduceKind kind, Val x, std::vector<int> axes, bool keepdim, DType dtype);  // axes empty: all
  Val scan(ScanKind kind, Val x, int axis, DType dtype);
  std::pair<Val, Val> scan_with_indices(ScanKind kind, Val x, int axis);
  Val softmax(Val x, int axis, bool log, DType dtype);
  struct NormResult {
    Val y, mean, rstd;
  };
  NormResult layer_norm(Val x, int dims, Val weight, Val bias, double eps, bool stats);  // undefined weight / bias: absent
  NormResult group_norm(Val x, std::int64_t groups, Val weight, Val bias, double eps, bool stats);
  NormResult rms_norm(Val x, int dims, Val weight, double eps, bool stats);  // rstd in `rstd`
  Val batch_norm(Val x, Val mean, Val var, Val weight, Val bias, double eps);
  Val attention(Val q, Val k, Val v, Val mask, bool causal, double scale);
  /// Batch dimensions broadcast as torch.matmul's; ranks >= 2. `bias` (may be undefined) broadcasts to the result.
  Val matmul(Val a, Val b, Val bias = {});
  Val conv(Val x, Val w, Val bias, const ConvOptions& options);
  Val max_pool(Val x, const PoolOptions& options, Val* indices = nullptr);
  Val avg_pool(Val x, const PoolOptions& options);
  Val adaptive_avg_pool(Val x, sym::Shape output);
  Val adaptive_max_pool(Val x, sym::Shape output, Val* indices = nullptr);
  Val resize(Val x, std::string_view kind, sym::Shape output, bool align_corners, bool antialias, std::vector<double> scales);
  Val pad(Val x, std::string_view kind, sym::Shape before, sym::Shape after, double value = 0);
  Val concat(std::span<const Val> xs, int axis);  // same dtypes
  Val gather(Val x, Val index, int axis);
  Val scatter(Val x, Val index, Val src, int axis, std::string_view reduce = "none", bool include_self = true);
  /// `indices` broadcast together; axes[j] is the dimension of x that indices[j] indexes; position: see core/op.h.
  Val index(Val x, std::span<const Val> indices, std::vector<int> axes, int position);
  Val index_put(Val x, Val values, std::span<const Val> indices, std::vector<int> axes, int position, bool accumulate);
  Val index_select(Val x, Val index, int axis);  // index of rank 1
  /// x with the elements under `view` (a view that slice, as_strided etc. made of x itself) replaced by src (cast and broadcast). x must be contiguous
  /// (take `contiguous(x)` first and make the view of that).
  Val write_view(Val x, Val view, Val src);
  std::pair<Val, Val> sort(Val x, int axis, bool descending, bool stable);
  std::pair<Val, Val> topk(Val x, sym::Expr k, int axis, bool largest, bool sorted);
  Val search_sorted(Val sorted, Val values, bool right, DType dtype);
  Val iota(sym::Expr n, core::Attr start, core::Attr step, DType dtype);
  Val fill(sym::Shape sizes, core::Attr value, DType dtype);
  Val scalar(double value, DType dtype);  // rank 0
  Val scalar(const sym::Expr& value, DType dtype);
  Val random(std::string_view kind, sym::Shape sizes, double low, double high, DType dtype);

  // ---- data-dependent: `count` is the unbacked symbol of the result's size (when it is another expression, the node defines a symbol of its own and
  //      the result is viewed with `count`) ----
  Val nonzero(Val x, sym::Expr count);
  struct UniqueResult {
    Val values, inverse, counts;
  };
  UniqueResult unique(Val x, int axis, bool consecutive, sym::Expr count);
  Val nms(Val boxes, Val scores, double iou_threshold, sym::Expr count);
  Val repeat_interleave(Val repeats, sym::Expr count);
  /// Nothing happens when `symbol` is not an unbacked symbol or is defined already: its value is known otherwise.
  void item(Val x, const sym::Expr& symbol);

  // ---- control and state ----
  std::vector<Val> cond(Val pred, Region then_region, Region else_region, std::span<const Val> like);
  std::vector<Val> while_loop(std::span<const Val> init, Region condition, Region body);
  void check(Val condition, std::string message);
  /// In place: replaces the elements of `dst` (any view) by `src` (cast and broadcast).
  void write(Val dst, Val src);

 private:
  /// A node with one output; undefined operands are left out.
  Val emit(core::Op op, std::span<const Val> operands, DType dtype, sym::Shape sizes, core::Attrs attrs);
  static std::vector<ValueId> ids(std::span<const Val> values);
  /// `wanted` if a node may define it, else a fresh unbacked symbol; either is now taken.
  sym::Expr define_symbol(const sym::Expr& wanted);
  Val make_view(Val x, sym::Shape sizes, sym::Shape strides, sym::Expr offset);
  Val norm_operand(Val weight, DType dtype, sym::Shape sizes);
  NormResult norm(core::Attrs attrs, Val x, Val weight, Val bias, sym::Shape stats_sizes, int stats);
  Val pool(Val x, core::Attrs attrs, sym::Shape output, Val* indices);
  /// The indices as i64, broadcast together; `sizes` becomes what they have in common.
  std::vector<Val> same_index_sizes(std::span<const Val> indices, sym::Shape& sizes);
  /// An output of a data-dependent node; count_placeholder() stands for the size that it finds out.
  using Made = std::pair<DType, sym::Shape>;
  static sym::Expr count_placeholder() { return sym::Expr::symbol("count__"); }
  std::vector<Val> emit_dynamic(core::Op op, std::span<const Val> operands, const std::vector<Made>& made, const sym::Expr& count, core::Attrs attrs);

  Graph* graph_;
  Region* region_;
  std::string name_, trace_;
  int segment_ = 0;
  std::unordered_set<std::string> defined_;  // unbacked symbols that some node yields
};

}  // namespace reprise::ir
