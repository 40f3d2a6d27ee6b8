// The graph of a program: JSON to ir::AtenGraph.
//
// What is resolved on the way: nodes that only compute symbolic scalars vanish, their values stand as expressions wherever they are used; so do checks that
// always hold and hints about ranges. Wrappers that only switch gradients, a disabled autocast or recomputation are replaced by what they wrap.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/json.h"
#include "import/pt2/load.h"
#include "import/pt2/symbols.h"
#include "ir/aten.h"

namespace reprise::import {

class GraphReader {
 public:
  GraphReader(Symbols& symbols, const Limits& limits) : symbols_(symbols), limits_(limits) {}

  /// Throws FormatError naming the place in the JSON, UnsupportedOp for tensors and arguments of kinds that the graph cannot hold.
  ir::AtenGraph read(const base::JsonValue& graph) { return read(graph, 0); }

 private:
  using Json = base::JsonValue;

  /// The names of one JSON graph. Those of an inlined one are renamed into the graph around it.
  struct Scope {
    std::unordered_map<std::string_view, Json> metas;
    std::unordered_map<std::string_view, std::pair<Json, SymKind>> symbolic;  // what the file says a scalar equals
    std::unordered_map<std::string_view, ir::Arg> scalars;                    // what a node or the caller of an inlined graph says
    std::unordered_map<std::string_view, std::string> renamed;                // tensors
    bool inlined = false;
  };
  /// The graph being made.
  struct Body {
    ir::AtenGraph graph;
    std::unordered_set<std::string> defined;
    const Scope* top = nullptr;
    int depth = 0;
  };
  struct NodeArgs {
    std::vector<ir::NamedArg> args;
    std::vector<std::shared_ptr<ir::AtenGraph>> graphs;
    std::vector<std::pair<std::size_t, ir::Arg>> scalar_operands;  // of a higher-order op's lists, by position in all its lists
    std::size_t operands = 0;
  };

  ir::AtenGraph read(const Json& graph, int depth);
  static Scope open(const Json& graph);
  void read_nodes(Body& body, Scope& scope, const Json& graph);
  void read_node(Body& body, Scope& scope, const Json& json);
  NodeArgs node_arguments(Body& body, Scope& scope, const Json& json, std::string_view target);
  void pass_scalars(NodeArgs& args, const Json& json, std::string_view target) const;
  void constrain(const std::vector<ir::NamedArg>& args);
  /// True when all of a symbolic node's results are known afterwards, so that it can be dropped.
  bool resolve_symbolic(Body& body, Scope& scope, const Json& json, std::string_view target);
  void inline_graph(Body& body, Scope& scope, const Json& json);
  ir::Output output(Body& body, Scope& scope, const Json& json, std::string_view target);
  ir::Output scalar_output(Scope& scope, const Json& json, std::string_view target);

  // Names.
  std::string allocate(Body& body, Scope& scope, std::string_view raw, const Json& at);
  std::optional<std::string> define(Body& body, Scope& scope, std::string_view raw, const Json& at);
  std::string use(const Body& body, const Scope& scope, const Json& tensor) const;
  ir::TensorMeta meta(const Json& json, std::string_view name);

  // Arguments (arguments.cpp).
  ir::Arg argument(const Body& body, Scope& scope, const Json& json);
  std::optional<ir::Arg> plain_argument(std::string_view kind, const Json& value) const;
  std::optional<ir::Arg> named_argument(const Body& body, Scope& scope, std::string_view kind, const Json& value);
  std::vector<std::optional<ir::TensorName>> tensor_list(const Body& body, const Scope& scope, const Json& list) const;
  ir::Arg scalar(Scope& scope, const Json& json, SymKind kind);
  ir::Arg scalar_list(Scope& scope, const Json& list, SymKind kind);
  std::optional<ir::Arg> named_scalar(Scope& scope, std::string_view name);

  Symbols& symbols_;
  Limits limits_;
  std::size_t nodes_ = 0;
  std::size_t renames_ = 0;
};

/// The innermost frame outside PyTorch's own files: `file.py:48, in forward: x.sum()`; the innermost of all when there is no other.
std::string source_line(std::string_view stack_trace);

}  // namespace reprise::import
