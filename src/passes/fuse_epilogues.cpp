#include "passes/fuse_epilogues.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "passes/readers.h"
#include "passes/rewrite.h"

namespace reprise::passes {
namespace {

using core::Op;
using core::ScalarOp;
using core::ScalarProgram;
using ir::ValueId;

// Larger ones cost registers that the contraction needs.
constexpr std::size_t kMaxOperands = 4, kMaxEpilogueCode = 48;

bool is_contraction(const ir::Node& node) { return (node.op == Op::matmul || node.op == Op::conv) && !node.attrs.has("epilogue"); }

class EpilogueFuser {
 public:
  explicit EpilogueFuser(ir::Graph& graph) : graph_(graph), readers_(graph) {}

  void run(ir::Region& region) {
    std::vector<std::optional<ir::Node>> nodes;
    std::unordered_map<ValueId, std::size_t> makers;  // result → the contraction that makes it
    for (auto& node : region.nodes) {
      for (auto& inner : node.regions) run(inner);
      if (const auto maker = fusible(node, nodes, makers)) {
        nodes.emplace_back(fused(std::move(*nodes[*maker]), node));
        nodes[*maker].reset();
        continue;
      }
      if (is_contraction(node) && is_in_engine(graph_, node)) makers[node.outputs.front()] = nodes.size();
      nodes.emplace_back(std::move(node));
    }
    region.nodes.clear();
    for (auto& node : nodes) {
      if (node) region.nodes.push_back(std::move(*node));
    }
  }

 private:
  /// The contraction that `node` may be joined to; the last one, so that what the others made is there.
  std::optional<std::size_t> fusible(const ir::Node& node, const std::vector<std::optional<ir::Node>>& nodes,
                                     const std::unordered_map<ValueId, std::size_t>& makers) const {
    if (node.op != Op::pointwise || node.outputs.size() != 1 || node.inputs.size() > kMaxOperands + 1) return std::nullopt;
    const ScalarProgram& program = *node.attrs.program("program");
    if (!program.symbols.empty() || program.code.size() > kMaxEpilogueCode) return std::nullopt;
    std::optional<std::size_t> best;
    for (const ValueId x : node.inputs) {
      const auto found = makers.find(graph_.at(x).root);
      if (found == makers.end() || !nodes[found->second] || !joins(*nodes[found->second], node, x)) continue;
      best = std::max(best.value_or(0), found->second);
    }
    return best;
  }

  bool joins(const ir::Node& maker, const ir::Node& node, ValueId x) const {
    const ValueId y = maker.outputs.front(), out = node.outputs.front();
    if (maker.segment != node.segment || graph_.at(y).dtype != graph_.at(out).dtype || readers_.reads(graph_, y) != 1 || readers_.kept(graph_, y)) return false;
    if (!graph_.is_whole(x) || !graph_.is_contiguous(y) || !graph_.is_contiguous(out)) return false;
    return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId e) { return e == x || reshaped(e, y, out); });
  }

  /// Strides of `e`, which has the sizes of `out`, as a tensor with the sizes of `y`: the same elements in row-major order.
  std::optional<sym::Shape> reshaped(ValueId e, ValueId y, ValueId out) const {
    const auto &from = graph_.at(e), &to = graph_.at(y);
    if (sym::equal(from.sizes, to.sizes)) return from.strides;
    if (graph_.is_contiguous(e)) return sym::contiguous_strides(to.sizes);
    // They may differ in dimensions of size 1 alone.
    std::vector<std::size_t> dims;
    for (std::size_t d = 0; d < from.sizes.size(); ++d) {
      if (graph_.at(out).sizes[d] != sym::Expr(1)) dims.push_back(d);
    }
    sym::Shape strides;
    std::size_t next = 0;
    for (const sym::Expr& size : to.sizes) {
      if (size == sym::Expr(1)) {
        strides.emplace_back(0);
      } else if (next < dims.size() && from.sizes[dims[next]] == size) {
        strides.push_back(from.strides[dims[next++]]);
      } else {
        return std::nullopt;
      }
    }
    return next == dims.size() ? std::optional(strides) : std::nullopt;
  }

  ir::Node fused(ir::Node maker, const ir::Node& node) {
    const ValueId y = maker.outputs.front(), out = node.outputs.front();
    const auto result =
        static_cast<std::size_t>(std::find_if(node.inputs.begin(), node.inputs.end(), [&](ValueId x) { return graph_.at(x).root == y; }) - node.inputs.begin());
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (i != result) maker.inputs.push_back(operand(node.inputs[i], y, out));
    }
    maker.attrs.set("epilogue", with_first(*node.attrs.program("program"), result));
    maker.name = node.name;
    // What was the pointwise node's is the contraction's now.
    replace_root(graph_, out, y);
    return maker;
  }

  ValueId operand(ValueId e, ValueId y, ValueId out) {
    if (sym::equal(graph_.at(e).sizes, graph_.at(y).sizes)) return e;
    const sym::Shape strides = *reshaped(e, y, out), sizes = graph_.at(y).sizes;
    const sym::Expr offset = graph_.at(e).offset;
    return graph_.add_view(e, sizes, strides, offset);
  }

  /// The program with input `which` as the first, and the others behind it in their order.
  static core::ScalarProgramPtr with_first(const ScalarProgram& program, std::size_t which) {
    ScalarProgram result = program;
    std::rotate(result.inputs.begin(), result.inputs.begin() + static_cast<std::ptrdiff_t>(which),
                result.inputs.begin() + static_cast<std::ptrdiff_t>(which) + 1);
    for (core::Instr& instr : result.code) {
      if (instr.op != ScalarOp::input) continue;
      const auto input = static_cast<std::size_t>(instr.imm_int);
      instr.imm_int = input == which ? 0 : static_cast<std::int64_t>(input + (input < which ? 1 : 0));
    }
    return std::make_shared<const ScalarProgram>(std::move(result));
  }

  ir::Graph& graph_;
  Readers readers_;
};

}  // namespace

void fuse_epilogues(ir::Graph& graph) { EpilogueFuser(graph).run(graph.body); }

}  // namespace reprise::passes
