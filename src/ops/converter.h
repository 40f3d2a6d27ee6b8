// Converters: the rewrite of one ATen op to core ops. A row of the op table is a `Converter`; ours and a user's are the same thing.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/aten.h"
#include "ir/builder.h"

namespace reprise::ops {

using ir::Val;

/// A parameter of an ATen schema: `int dim=-1`, `*, ScalarType? dtype=None`.
struct Param {
  std::string name, type;
  std::optional<ir::Arg> fallback;  // the default; nullopt: required
  bool keyword_only = false;
};
struct Schema {
  std::string target;  // "aten.add.Tensor"
  std::vector<Param> params;
};
/// Parses PyTorch's text form, e.g. "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor" (what follows `->` is ignored; alias marks
/// such as `Tensor(a!)` are taken off). Parameters may lack a type. A target without an overload is ".default", but for higher_order, _operator, math and
/// torch, which have none. Throws InvalidArgument with the place on bad text.
Schema parse_schema(std::string_view text);

/// Whether an expression is a truth value: a relation or a connective of relations.
inline bool is_relation(const sym::Expr& e) { return e.op() >= sym::Op::eq && e.op() <= sym::Op::logical_not; }

/// What a converter sees: the node's arguments by schema name with defaults filled in, the builder, and what the exporter says of the outputs.
class Context {
 public:
  virtual ~Context() = default;
  [[nodiscard]] virtual ir::Builder& build() = 0;
  [[nodiscard]] virtual const ir::AtenNode& node() const = 0;

  // Arguments, by name; a decimal number ("0", "3") takes the node's argument at that position, as higher-order ops need, which pass any number of
  // operands after the schema's. A wrong type throws InvalidArgument naming node and argument.
  [[nodiscard]] virtual const ir::Arg& arg(std::string_view name) const = 0;
  [[nodiscard]] bool is_none(std::string_view name) const;
  [[nodiscard]] virtual Val tensor(std::string_view name) = 0;                // a number becomes a rank-0 fill of i64, f32 or bool
  [[nodiscard]] Val tensor_or_none(std::string_view name);                    // undefined Val for None
  [[nodiscard]] virtual std::vector<Val> tensors(std::string_view name) = 0;  // None entries: undefined Val
  [[nodiscard]] sym::Expr integer(std::string_view name) const;
  [[nodiscard]] std::int64_t fixed(std::string_view name) const;  // an integer that must be constant
  [[nodiscard]] sym::Shape ints(std::string_view name) const;     // int[], SymInt[], or a single int
  [[nodiscard]] std::vector<std::int64_t> fixed_ints(std::string_view name) const;
  [[nodiscard]] double real(std::string_view name) const;  // int, float or bool
  [[nodiscard]] std::vector<double> reals(std::string_view name) const;
  [[nodiscard]] bool flag(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name) const;
  [[nodiscard]] std::optional<DType> dtype(std::string_view name) const;  // nullopt: None
  /// A Python Scalar: bool, int (may be symbolic) or float, with its category for type promotion.
  struct Scalar {
    enum class Kind { boolean, integer, real } kind;
    sym::Expr value;  // real constants as Expr::real
  };
  [[nodiscard]] Scalar scalar(std::string_view name) const;
  [[nodiscard]] bool is_tensor(std::string_view name) const;  // an argument that takes a tensor or a number (add.Tensor's other)

  /// Exporter's sizes and dtype of tensor output i (list outputs counted through). nullptr: not there.
  [[nodiscard]] virtual const ir::TensorMeta* output_meta(int i) const = 0;
  /// The symbolic value of output i when it is a symbolic scalar.
  [[nodiscard]] virtual sym::Expr output_symbol(int i) const = 0;

  // Results. Outputs that nobody set may stay unset when nobody reads them.
  virtual void set(int i, Val value) = 0;  // output i, list outputs counted through; a derived in-place form writes output 0 to self
  void set_all(std::span<const Val> values);
  /// Converts a nested graph (as_graph argument) into the builder's current region with `inputs` for its inputs (one for each, or one for each that is a
  /// tensor); returns its outputs: symbolic scalars as rank-0 tensors, None as undefined.
  [[nodiscard]] virtual std::vector<Val> inline_graph(const ir::AtenGraph& graph, std::span<const Val> inputs) = 0;
};

using Convert = std::function<void(Context&)>;
/// Accepts the node or gives a reason why not.
using Validate = std::function<std::optional<std::string>(const ir::AtenNode&)>;

enum class Priority : std::uint8_t { standard, high };  // high wins; among equals the one registered last

struct Converter {
  std::string schema;  // text for parse_schema; its target names the op
  Convert convert;
  Validate validate;  // may be empty
  Priority priority = Priority::standard;
  bool supports_dynamic_shapes = true;
  bool requires_output_allocator = false;
};

/// The op table. Built from an explicit list of family functions; a user's registry starts as a copy of the built-in one.
class Registry {
 public:
  /// All of ours.
  static const Registry& builtin();
  void add(Converter converter);
  /// The converter for a target. An in-place target (`aten.add_.Tensor`) without a row of its own gets its functional row followed by a write to `self`;
  /// a `.out` overload its functional row and a write to `out`. nullptr: none.
  struct Entry {
    const Converter* converter = nullptr;
    Schema schema;             // of `converter`
    bool writes_self = false;  // derived in-place form: write result 0 to the first argument and return it
    bool writes_out = false;   // derived .out form
  };
  [[nodiscard]] const Entry* find(std::string_view target) const;  // thread safe after registration is over
  /// The first converter, in order of priority, that takes this node; else why the last one asked did not. `dynamic`: the node has symbolic sizes.
  struct Match {
    const Entry* entry = nullptr;
    std::string reason;
  };
  [[nodiscard]] Match match(const ir::AtenNode& node, bool dynamic) const;  // thread safe after registration is over
  [[nodiscard]] std::vector<std::string> targets() const;

  Registry() = default;
  Registry(const Registry& other) : rows_(other.rows_) {}
  Registry& operator=(const Registry& other);

 private:
  const std::vector<Entry>& candidates(std::string_view target) const;
  void append_rows(std::vector<Entry>& out, const std::string& target, bool writes_self, bool writes_out) const;
  void append_overloads(std::vector<Entry>& out, const std::string& op, bool writes_self, bool writes_out) const;

  std::map<std::string, std::vector<Converter>> rows_;
  mutable std::mutex mutex_;  // guards resolved_
  mutable std::unordered_map<std::string, std::vector<Entry>> resolved_;
};

// Families, one file each: they add rows.
void add_pointwise(Registry& r);
void add_activations(Registry& r);
void add_comparison_and_bits(Registry& r);
void add_creation(Registry& r);
void add_casts(Registry& r);
void add_reductions(Registry& r);
void add_scans_and_softmax(Registry& r);
void add_losses(Registry& r);
void add_views(Registry& r);
void add_joins(Registry& r);  // cat, stack, split, chunk, repeat, roll, flip, tril, …
void add_matmul(Registry& r);
void add_convolution(Registry& r);
void add_norms(Registry& r);
void add_attention(Registry& r);
void add_pooling(Registry& r);
void add_resize(Registry& r);
void add_padding(Registry& r);
void add_indexing(Registry& r);
void add_scatter(Registry& r);
void add_sorting(Registry& r);
void add_data_dependent(Registry& r);
void add_recurrent(Registry& r);
void add_control(Registry& r);  // higher-order ops, asserts, dropout in evaluation, random
void add_vision(Registry& r);   // torchvision's ops, grid_sampler, affine_grid

// ---- dtype rules (PyTorch's type promotion) ----
/// Promotes two tensor dtypes of the same category level (torch.promote_types).
DType promote(DType a, DType b);
/// torch.result_type over operands: tensors with dimensions outrank 0-d tensors, which outrank Python numbers, within a category.
struct Operand {
  DType dtype;
  enum class Level { tensor, zero_dim, number } level;
};
DType result_type(std::span<const Operand> operands);
/// Integers and bool become the default float (f32).
DType to_float(DType t);
/// f16 and bf16 compute in f32; others in themselves.
DType compute_type(DType t);
/// torch.can_cast: what an in-place op may store (reals not into integers, nothing else into bool).
bool can_cast(DType from, DType to);

}  // namespace reprise::ops
