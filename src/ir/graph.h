// The core graph: core ops over values with symbolic sizes.
//
// A value is a *root* (an input, weight, state or node output, contiguous unless a pass gives it other strides) or a *view*: an alias of a root with sizes,
// strides and offset of its own (elements, counted from the root's first). A view of a view is stored as a view of the root. Views are never steps.
// Nodes stand in execution order. Regions (branches and loop bodies) are nested node lists over the same value table, and may use any value defined before
// the node that holds them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/op.h"
#include "ir/aten.h"
#include "reprise/tensor.h"
#include "sym/evaluate.h"
#include "sym/expr.h"

namespace reprise::ir {

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

enum class ValueKind : std::uint8_t {
  input,     // index: which flattened user tensor input
  constant,  // index: into Graph::constants
  state,     // index: into Graph::states; the value at the start of the call
  node,      // defined by a node (or a region parameter)
  view       // alias of `root`
};

struct Value {
  ValueKind kind = ValueKind::node;
  std::string name;  // for messages and the printer
  DType dtype = DType::f32;
  sym::Shape sizes;
  sym::Shape strides;       // elements
  sym::Expr offset;         // elements from the root's first; 0 for roots
  ValueId root = kNoValue;  // itself for roots
  int index = -1;
};

struct Node;

/// A nested list of nodes: `params` are values that the holder defines anew each time (loop-carried), `results` what it yields.
struct Region {
  std::vector<ValueId> params;
  std::vector<Node> nodes;
  std::vector<ValueId> results;
};

struct Node {
  core::Op op = core::Op::copy;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;  // roots
  core::Attrs attrs;
  std::vector<Region> regions;       // cond: then, else; while: condition, body
  std::vector<std::string> defines;  // unbacked symbols whose values this node yields
  int segment = 0;
  std::string name;   // of the ATen node that it comes from
  std::string trace;  // its Python line, may be empty
};

/// A weight or folded constant.
struct Constant {
  std::string name;
  Tensor data;  // contiguous
};

/// Module-owned memory that calls change: a mutated buffer, or a user input that the program mutates.
struct State {
  std::string name;
  Tensor initial;            // buffers; undefined for a mutated input
  int input = -1;            // mutated input: which flattened user tensor input
  ValueId value = kNoValue;  // its ValueKind::state value (buffers) or ValueKind::input value
  ValueId final = kNoValue;  // the value to store at the end of the call; kNoValue or `value`: unchanged
};

struct Segment {
  bool engine = true;  // false: fallback, unfused
  std::string reason;  // why it fell back
};

/// A result of the call, in flattened order.
struct Result {
  enum class Kind : std::uint8_t { tensor, integer, real, boolean, text, none } kind = Kind::tensor;
  ValueId value = kNoValue;  // tensor
  sym::Expr scalar;          // integer, real, boolean
  std::string text;
};

struct Graph {
  std::deque<Value> values;     // references to values stay good while others are added
  std::vector<ValueId> inputs;  // one per flattened user input that is a tensor
  Region body;                  // body.results is unused: see results
  std::vector<Constant> constants;
  std::vector<State> states;
  std::vector<Result> results;
  std::vector<Segment> segments;
  sym::SymbolTable symbols;

  [[nodiscard]] Value& at(ValueId id) { return values.at(static_cast<std::size_t>(id)); }
  [[nodiscard]] const Value& at(ValueId id) const { return values.at(static_cast<std::size_t>(id)); }
  [[nodiscard]] const Value& root_of(ValueId id) const { return at(at(id).root); }

  /// A new root with row-major strides.
  ValueId add_root(ValueKind kind, std::string name, DType dtype, sym::Shape sizes, int index = -1);
  /// A view of `base` (resolved to its root); offset counts from the root's first element.
  ValueId add_view(ValueId base, sym::Shape sizes, sym::Shape strides, sym::Expr offset);
  /// Registers a contiguous tensor as constant and returns its value.
  ValueId add_constant(std::string name, Tensor data);

  /// The view covers its root entirely in row-major order: reading it is reading the root.
  [[nodiscard]] bool is_whole(ValueId id) const;
  /// Row-major strides for its sizes (dimensions of size 1 may have any stride).
  [[nodiscard]] bool is_contiguous(ValueId id) const;
};

/// Calls `f(node)` for every node, outer before inner, in order.
template <class Nodes, class F>
void for_each_node(Nodes& nodes, F&& f) {
  for (auto& node : nodes) {
    f(node);
    for (auto& region : node.regions) for_each_node(region.nodes, f);
  }
}

/// Definitions precede uses, operand counts, dtypes and sizes obey core/op.h, views lie in their roots as far as it can be proved, regions agree with their
/// holders. Throws Error "[ir/verify] …" naming node and op: a failure is a bug of ours, or a hostile file's.
void verify(const Graph& graph);

/// Text that a person can read: one line a node, views written at their use, e.g. `%12 f32[s0, 64] = matmul(%3, %w4.T)`.
std::string print(const Graph& graph);

}  // namespace reprise::ir
