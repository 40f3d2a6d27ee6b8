// Structure: values, order of definitions and uses, regions, results, states.
#include <unordered_set>

#include "base/check.h"
#include "ir/graph.h"
#include "ir/shapes.h"
#include "ir/verify_ops.h"

namespace reprise::ir {
namespace {

using sym::Expr;

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph), defined_(graph.values.size()) {}

  void run() {
    for (const auto& s : graph_.symbols.all())
      if (!s.unbacked) symbols_.insert(s.name);
    for (std::size_t i = 0; i < graph_.values.size(); ++i) value(static_cast<ValueId>(i));
    inputs();
    nodes(graph_.body.nodes);
    results();
    states();
  }

 private:
  void value(ValueId id) {
    const Value& v = graph_.at(id);
    const auto check = [&](bool condition, std::string_view what) { REPRISE_CHECK(condition, Error, "[ir/verify] value '{}' ({}): {}", v.name, id, what); };
    check(v.root >= 0 && v.root < std::ssize(graph_.values), "its root does not exist");
    check((v.kind == ValueKind::view) == (v.root != id), "a view must have another value as root, and only a view");
    check(v.sizes.size() == v.strides.size(), "sizes and strides differ in rank");
    for (const Expr& size : v.sizes) check(size.as_int().value_or(0) >= 0, "a size is negative");
    if (v.kind == ValueKind::view) return view(v, check);
    check(v.offset == Expr(0), "a root has an offset");
    if (v.kind == ValueKind::node) return;
    defined_[static_cast<std::size_t>(id)] = true;
    if (v.kind == ValueKind::input)
      check(v.index >= 0 && v.index < std::ssize(graph_.inputs) && graph_.inputs[static_cast<std::size_t>(v.index)] == id, "index of an input");
    if (v.kind == ValueKind::constant) constant(v, check);
    if (v.kind == ValueKind::state)
      check(v.index >= 0 && v.index < std::ssize(graph_.states) && graph_.states[static_cast<std::size_t>(v.index)].value == id, "index of a state");
  }

  template <class Check>
  void view(const Value& v, const Check& check) const {
    const Value& root = graph_.at(v.root);
    check(root.kind != ValueKind::view, "its root is a view");
    check(v.dtype == root.dtype, "its dtype is not its root's");
    Expr last = v.offset;
    for (std::size_t i = 0; i < v.sizes.size(); ++i) {
      if (is_const(v.sizes[i], 0)) return;
      last = last + (v.sizes[i] - 1) * v.strides[i];
      check(v.strides[i].as_int().value_or(0) >= 0, "a stride is negative");
    }
    check(v.offset.as_int().value_or(0) >= 0, "its offset is negative");
    const auto end = last.as_int(), room = sym::product(root.sizes).as_int();
    check(!end || !room || *end < *room, "it reaches outside its root");
  }

  template <class Check>
  void constant(const Value& v, const Check& check) const {
    check(v.index >= 0 && v.index < std::ssize(graph_.constants), "index of a constant");
    const Tensor& data = graph_.constants[static_cast<std::size_t>(v.index)].data;
    check(data.defined() && data.is_contiguous() && data.dtype() == v.dtype, "the constant's data are not contiguous or have another dtype");
    check(sym::equal(v.sizes, sym::Shape(data.sizes().begin(), data.sizes().end())), "the constant's data have other sizes");
  }

  void inputs() const {
    for (ValueId id : graph_.inputs) {
      exists(id, "the graph's inputs");
      REPRISE_CHECK(graph_.at(id).kind == ValueKind::input, Error, "[ir/verify] the graph's input '{}' is not an input value", graph_.at(id).name);
    }
  }

  void exists(ValueId id, std::string_view where) const {
    REPRISE_CHECK(id >= 0 && id < std::ssize(graph_.values), Error, "[ir/verify] {}: value {} does not exist", where, id);
  }

  void use(ValueId id, std::string_view where) const {
    exists(id, where);
    const Value& v = graph_.at(id);
    REPRISE_CHECK(defined_[static_cast<std::size_t>(v.root)], Error, "[ir/verify] {}: value '{}' ({}) is used before it is defined", where, v.name, id);
    for (const auto* shape : {&v.sizes, &v.strides})
      for (const Expr& e : *shape) known(e, where);
    known(v.offset, where);
  }

  void known(const Expr& e, std::string_view where) const {
    if (e.is_int()) return;
    std::vector<std::string> names;
    sym::collect_symbols(e, names);
    for (const auto& name : names) REPRISE_CHECK(symbols_.contains(name), Error, "[ir/verify] {}: symbol {} has no value yet", where, name);
  }

  void define(ValueId id, std::string_view where) {
    exists(id, where);
    const Value& v = graph_.at(id);
    REPRISE_CHECK(v.kind == ValueKind::node && v.root == id, Error, "[ir/verify] {}: '{}' ({}) cannot be defined by a node", where, v.name, id);
    REPRISE_CHECK(!defined_[static_cast<std::size_t>(id)], Error, "[ir/verify] {}: '{}' ({}) is defined twice", where, v.name, id);
    defined_[static_cast<std::size_t>(id)] = true;
    trail_.push_back(id);
  }

  void attributes(const core::Attrs& attrs, std::string_view where) const {
    for (const auto& [key, attr] : attrs.items()) {
      if (const auto* e = std::get_if<Expr>(&attr)) known(*e, where);
      if (const auto* list = std::get_if<std::vector<Expr>>(&attr))
        for (const Expr& e : *list) known(e, where);
      if (const auto* program = std::get_if<core::ScalarProgramPtr>(&attr); program != nullptr && *program != nullptr)
        for (const Expr& e : (*program)->symbols) known(e, where);
    }
  }

  void nodes(const std::vector<Node>& list) {
    for (const Node& node : list) {
      const std::string where = fmt::format("{} '{}'", core::name(node.op), node.name);
      for (ValueId id : node.inputs) use(id, where);
      for (ValueId id : node.outputs) exists(id, where);
      attributes(node.attrs, where);
      REPRISE_CHECK(node.segment >= 0 && node.segment < std::max<std::ptrdiff_t>(1, std::ssize(graph_.segments)), Error,
                    "[ir/verify] {}: there is no segment {}", where, node.segment);
      verify_op(graph_, node);
      for (const Region& region : node.regions) nested(region, where);
      if (node.op == core::Op::cond) cond(node, where);
      if (node.op == core::Op::while_loop) loop(node, where);
      for (const auto& name : node.defines) {
        const int at = graph_.symbols.find(name);
        REPRISE_CHECK(at >= 0 && graph_.symbols.at(at).unbacked && symbols_.insert(name).second, Error, "[ir/verify] {}: it cannot define symbol {}", where,
                      name);
      }
      for (ValueId id : node.outputs) define(id, where);
    }
  }

  /// What a region defines ends with it.
  void nested(const Region& region, std::string_view where) {
    const auto mark = trail_.size();
    const auto symbols = symbols_;
    for (ValueId id : region.params) define(id, where);
    nodes(region.nodes);
    for (ValueId id : region.results) use(id, where);
    for (std::size_t i = mark; i < trail_.size(); ++i) defined_[static_cast<std::size_t>(trail_[i])] = false;
    trail_.resize(mark);
    symbols_ = symbols;
  }

  void same(const std::vector<ValueId>& got, const std::vector<ValueId>& want, std::string_view where, std::string_view what) const {
    REPRISE_CHECK(got.size() == want.size(), Error, "[ir/verify] {}: {} (got {}, want {})", where, what, got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      const Value &a = graph_.at(got[i]), &b = graph_.at(want[i]);
      REPRISE_CHECK(a.dtype == b.dtype && !differ(a.sizes, b.sizes), Error, "[ir/verify] {}: {} {} (got {}{}, want {}{})", where, what, i, name(a.dtype),
                    sym::str(a.sizes), name(b.dtype), sym::str(b.sizes));
    }
  }

  void cond(const Node& node, std::string_view where) const {
    for (const Region& branch : node.regions) {
      REPRISE_CHECK(branch.params.empty(), Error, "[ir/verify] {}: a branch takes no parameters", where);
      same(branch.results, node.outputs, where, "results of a branch");
    }
  }

  void loop(const Node& node, std::string_view where) const {
    const Region &condition = node.regions[0], &body = node.regions[1];
    same(node.inputs, node.outputs, where, "results of the loop");
    same(condition.params, node.outputs, where, "parameters of the condition");
    same(body.params, node.outputs, where, "parameters of the body");
    same(body.results, node.outputs, where, "results of the body");
    REPRISE_CHECK(condition.results.size() == 1 && graph_.at(condition.results[0]).dtype == DType::boolean && graph_.at(condition.results[0]).sizes.empty(),
                  Error, "[ir/verify] {}: the condition must give one bool scalar", where);
  }

  void results() const {
    for (const Result& r : graph_.results) {
      if (r.kind == Result::Kind::tensor)
        use(r.value, "the graph's results");
      else
        known(r.scalar, "the graph's results");
    }
  }

  void states() const {
    for (const State& s : graph_.states) {
      const std::string where = fmt::format("state '{}'", s.name);
      use(s.value, where);
      const Value& v = graph_.at(s.value);
      REPRISE_CHECK(s.input >= 0 ? v.kind == ValueKind::input && v.index == s.input : v.kind == ValueKind::state && s.initial.defined(), Error,
                    "[ir/verify] {}: it is neither a buffer with a first value nor an input", where);
      if (s.final == kNoValue) continue;
      use(s.final, where);
      same({s.final}, {s.value}, where, "final value");
    }
  }

  const Graph& graph_;
  std::vector<bool> defined_;                // by root
  std::vector<ValueId> trail_;               // what nodes defined, in order
  std::unordered_set<std::string> symbols_;  // with a value by now
};

}  // namespace

void verify(const Graph& graph) { Verifier(graph).run(); }

}  // namespace reprise::ir
