#include "passes/fuse_pointwise.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>
#include <vector>

namespace reprise::passes {

namespace {

using core::Op;
using core::ScalarOp;
using core::ScalarProgram;
using ir::ValueId;

// A region beyond these is split: interpreters and compilers alike keep every value of a tile at hand.
constexpr std::size_t kMaxInputs = 24;
constexpr std::size_t kMaxCode = 256;

bool same_view(const ir::Value& a, const ir::Value& b) {
  return a.root == b.root && a.offset == b.offset && sym::equal(a.sizes, b.sizes) && sym::equal(a.strides, b.strides);
}

// A program being put together from several nodes.
class Merged {
 public:
  explicit Merged(const ir::Graph& graph) : graph_(graph) {}

  int input(ValueId id) {
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      if (same_view(graph_.at(operands_[i]), graph_.at(id))) return loads_[i];
    }
    operands_.push_back(id);
    program_.inputs.push_back(graph_.at(id).dtype);
    loads_.push_back(add({.op = ScalarOp::input, .type = graph_.at(id).dtype, .imm_int = static_cast<std::int64_t>(operands_.size()) - 1}));
    return loads_.back();
  }
  int add(const core::Instr& instr) {
    program_.code.push_back(instr);
    return static_cast<int>(program_.code.size()) - 1;
  }
  int symbol(const sym::Expr& e) {
    const auto it = std::find(program_.symbols.begin(), program_.symbols.end(), e);
    if (it != program_.symbols.end()) return static_cast<int>(it - program_.symbols.begin());
    program_.symbols.push_back(e);
    return static_cast<int>(program_.symbols.size()) - 1;
  }
  /// Appends `other`'s code with its inputs replaced by the given instructions; returns where each of its instructions went.
  std::vector<int> append(const ScalarProgram& other, const std::vector<int>& inputs) {
    std::vector<int> place;
    for (const auto& instr : other.code) {
      if (instr.op == ScalarOp::input) {
        place.push_back(inputs.at(static_cast<std::size_t>(instr.imm_int)));
        continue;
      }
      auto moved = instr;
      if (moved.op == ScalarOp::symbol) moved.imm_int = symbol(other.symbols.at(static_cast<std::size_t>(instr.imm_int)));
      const auto shift = [&](int& operand) {
        if (operand >= 0) operand = place[static_cast<std::size_t>(operand)];
      };
      shift(moved.a);
      shift(moved.b);
      shift(moved.c);
      place.push_back(add(moved));
    }
    return place;
  }
  void output(int instr) { program_.outputs.push_back(instr); }
  [[nodiscard]] bool fits() const { return operands_.size() <= kMaxInputs && program_.code.size() <= kMaxCode; }

  void store(ir::Node& node) {
    node.inputs = operands_;
    node.attrs = core::Attrs{{"program", std::make_shared<const ScalarProgram>(std::move(program_))}};
  }

 private:
  const ir::Graph& graph_;
  ScalarProgram program_;
  std::vector<ValueId> operands_;
  std::vector<int> loads_;
};

class Fuser {
 public:
  explicit Fuser(ir::Graph& graph) : graph_(graph), last_(graph.values.size(), -1), first_(graph.values.size(), std::numeric_limits<int>::max()) {
    number(graph.body);
    for (const auto& result : graph.results) {
      if (result.kind == ir::Result::Kind::tensor) use(result.value, next_);
    }
    for (const auto& state : graph.states) {
      if (state.final != ir::kNoValue) use(state.final, next_);
    }
  }

  void run(ir::Region& region) {
    std::vector<std::optional<ir::Node>> nodes;
    std::unordered_map<ValueId, std::size_t> makers;  // root → its pointwise maker in `nodes`
    for (auto& node : region.nodes) {
      for (auto& inner : node.regions) run(inner);
      if (node.op == Op::fill) fills_.insert_or_assign(node.outputs.front(), node.attrs);
      if (node.op == Op::pointwise && graph_.segments.at(static_cast<std::size_t>(node.segment)).engine) {
        absorb(node, nodes, makers);
        for (const auto y : node.outputs) makers[y] = nodes.size();
      }
      nodes.emplace_back(std::move(node));
    }
    region.nodes.clear();
    for (auto& node : nodes) {
      if (node) region.nodes.push_back(std::move(*node));
    }
  }

 private:
  // Orders of the first and last reader of each root, over the whole graph.
  void number(const ir::Region& region) {
    for (const auto& node : region.nodes) {
      order_[node.outputs.empty() ? ir::kNoValue : node.outputs.front()] = next_;
      for (const auto x : node.inputs) use(x, next_);
      ++next_;
      for (const auto& inner : node.regions) number(inner);
    }
    for (const auto result : region.results) use(result, next_);
  }
  void use(ValueId id, int order) {
    const auto root = static_cast<std::size_t>(graph_.at(id).root);
    last_[root] = std::max(last_[root], order);
    first_[root] = std::min(first_[root], order);
  }
  int order(const ir::Node& node) const { return order_.at(node.outputs.front()); }

  // A value known at compile or bind time, as an instruction.
  std::optional<int> immediate(ValueId id, Merged& merged) const {
    const auto& value = graph_.at(id);
    if (const auto fill = fills_.find(value.root); fill != fills_.end()) return immediate(*fill->second.find("value"), value.dtype, merged);
    const auto& root = graph_.at(value.root);
    if (root.kind != ir::ValueKind::constant) return std::nullopt;
    const auto& data = graph_.constants.at(static_cast<std::size_t>(root.index)).data;
    if (data.numel() != 1) return std::nullopt;
    core::Instr instr{.op = ScalarOp::constant, .type = value.dtype};
    if (is_floating(value.dtype)) {
      instr.imm_real = *data.to(DType::f64).data_as<double>();
    } else {
      instr.imm_int = *data.to(DType::i64).data_as<std::int64_t>();
    }
    return merged.add(instr);
  }
  static std::optional<int> immediate(const core::Attr& value, DType dtype, Merged& merged) {
    core::Instr instr{.op = ScalarOp::constant, .type = dtype};
    const auto set = [&](double real, std::int64_t integer) {
      if (is_floating(dtype))
        instr.imm_real = real;
      else
        instr.imm_int = dtype == DType::boolean ? (real != 0 || integer != 0) : integer;
    };
    if (const auto* b = std::get_if<bool>(&value))
      set(*b ? 1 : 0, *b ? 1 : 0);
    else if (const auto* d = std::get_if<double>(&value)) {
      if (!is_floating(dtype) && dtype != DType::boolean) return std::nullopt;
      set(*d, 0);
    } else if (const auto* e = std::get_if<sym::Expr>(&value)) {
      if (const auto fixed = e->as_int()) {
        set(static_cast<double>(*fixed), *fixed);
      } else {
        instr.op = ScalarOp::symbol;
        instr.imm_int = merged.symbol(*e);
      }
    } else {
      return std::nullopt;
    }
    return merged.add(instr);
  }

  // The maker of operand `x` of `node`, when it may move to the node's place and is read element by element.
  const ir::Node* producer(ValueId x, const ir::Node& node, const std::vector<std::optional<ir::Node>>& nodes,
                           const std::unordered_map<ValueId, std::size_t>& makers) const {
    const auto& value = graph_.at(x);
    const auto it = makers.find(value.root);
    if (it == makers.end() || !nodes[it->second]) return nullptr;
    const auto& made = *nodes[it->second];
    if (made.segment != node.segment || !graph_.is_whole(x) || !sym::equal(value.sizes, graph_.at(value.root).sizes) ||
        !sym::equal(value.sizes, graph_.at(node.outputs.front()).sizes)) {
      return nullptr;
    }
    const bool movable = std::all_of(made.outputs.begin(), made.outputs.end(),
                                     [&](ValueId y) { return last_[static_cast<std::size_t>(y)] < 0 || first_[static_cast<std::size_t>(y)] >= order(node); });
    return movable ? &made : nullptr;
  }

  bool read_later(ValueId y, const ir::Node& node) const { return last_[static_cast<std::size_t>(y)] > order(node); }

  void absorb(ir::Node& node, std::vector<std::optional<ir::Node>>& nodes, const std::unordered_map<ValueId, std::size_t>& makers) {
    Merged merged(graph_);
    const auto program = node.attrs.program("program");
    std::unordered_map<ValueId, int> computed;  // root of an absorbed producer's output → instruction
    std::vector<std::size_t> absorbed;
    std::vector<std::pair<ValueId, int>> kept_outputs;
    std::vector<int> inputs;
    for (const auto x : node.inputs) {
      if (const auto imm = immediate(x, merged)) {
        inputs.push_back(*imm);
        continue;
      }
      const auto root = graph_.at(x).root;
      const auto* made = producer(x, node, nodes, makers);
      if (made != nullptr && !computed.contains(root)) {
        std::vector<int> their;
        for (const auto operand : made->inputs) their.push_back(merged.input(operand));
        const auto& theirs = *made->attrs.program("program");
        const auto place = merged.append(theirs, their);
        for (std::size_t i = 0; i < made->outputs.size(); ++i) {
          const int at = place[static_cast<std::size_t>(theirs.outputs[i])];
          computed[made->outputs[i]] = at;
          if (read_later(made->outputs[i], node)) kept_outputs.emplace_back(made->outputs[i], at);
        }
        absorbed.push_back(makers.at(root));
      }
      inputs.push_back(made != nullptr ? computed.at(root) : merged.input(x));
    }
    const auto place = merged.append(*program, inputs);
    for (const auto output : program->outputs) merged.output(place[static_cast<std::size_t>(output)]);
    for (const auto& [y, at] : kept_outputs) merged.output(at);
    if (!merged.fits()) return;
    const int here = order(node);
    for (const auto i : absorbed) {
      for (const auto x : nodes[i]->inputs) use(x, here);
      nodes[i].reset();
    }
    for (const auto& [y, at] : kept_outputs) {
      node.outputs.push_back(y);
      order_[y] = here;
    }
    merged.store(node);
  }

  ir::Graph& graph_;
  std::vector<int> last_, first_;
  std::unordered_map<ValueId, int> order_;
  std::unordered_map<ValueId, core::Attrs> fills_;
  int next_ = 0;
};

}  // namespace

void fuse_pointwise(ir::Graph& graph) { Fuser(graph).run(graph.body); }

}  // namespace reprise::passes
