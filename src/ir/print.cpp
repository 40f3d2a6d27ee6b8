#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "ir/graph.h"
#include "ir/shapes.h"

namespace reprise::ir {
namespace {

std::string type_of(const Value& v) { return fmt::format("{}{}", name(v.dtype), sym::str(v.sizes)); }

class Printer {
 public:
  explicit Printer(const Graph& graph) : graph_(graph) {}

  std::string run() {
    symbols();
    roots("inputs", ValueKind::input);
    roots("constants", ValueKind::constant);
    roots("states", ValueKind::state);
    line("body:");
    nodes(graph_.body.nodes);
    results();
    return std::move(out_);
  }

 private:
  void line(std::string_view text) { out_ += fmt::format("{:{}}{}\n", "", indent_, text); }

  void symbols() {
    if (graph_.symbols.size() == 0) return;
    line("symbols:");
    for (const auto& s : graph_.symbols.all()) {
      const auto most = s.range.max == sym::kUnbounded ? std::string("inf") : std::to_string(s.range.max);
      line(
          fmt::format("  {} in [{}, {}]{}{}", s.name, s.range.min, most, s.unbacked ? " from data" : "", s.hint ? fmt::format(", {} at export", *s.hint) : ""));
    }
  }

  void roots(std::string_view title, ValueKind kind) {
    bool any = false;
    for (std::size_t i = 0; i < graph_.values.size(); ++i) {
      const Value& v = graph_.values[i];
      if (v.kind != kind) continue;
      if (!std::exchange(any, true)) line(fmt::format("{}:", title));
      line(fmt::format("  %{} {} {}{}", i, type_of(v), v.name, final_of(static_cast<ValueId>(i))));
    }
  }

  std::string final_of(ValueId id) const {
    const auto at = std::find_if(graph_.states.begin(), graph_.states.end(), [&](const State& s) { return s.value == id; });
    if (at == graph_.states.end()) return {};
    return at->final == kNoValue ? " (mutable)" : fmt::format(" (becomes {})", use(at->final));
  }

  /// Where `v`'s strides are a permutation of its root's: the dimension of the root that each one walks.
  static std::vector<std::size_t> permutation(const Value& v, const Value& root) {
    std::vector<std::size_t> out;
    std::vector<bool> taken(root.sizes.size());
    for (std::size_t i = 0; i < v.sizes.size(); ++i)
      for (std::size_t j = 0; j < root.sizes.size(); ++j)
        if (!taken[j] && v.sizes[i] == root.sizes[j] && v.strides[i] == root.strides[j]) {
          taken[j] = true;
          out.push_back(j);
          break;
        }
    if (out.size() != root.sizes.size() || v.sizes.size() != out.size()) out.clear();
    return out;
  }

  std::string use(ValueId id) const {
    const Value& v = graph_.at(id);
    if (v.root == id) return fmt::format("%{}", id);
    const Value& root = graph_.at(v.root);
    if (v.offset == sym::Expr(0)) {
      if (const auto dims = permutation(v, root); !dims.empty())
        return std::is_sorted(dims.begin(), dims.end()) ? fmt::format("%{}", v.root) : fmt::format("%{}.permute({})", v.root, fmt::join(dims, ", "));
      if (graph_.is_whole(id)) return fmt::format("%{}.view({})", v.root, inner(v.sizes));
    }
    const auto offset = v.offset == sym::Expr(0) ? "" : fmt::format(", offset {}", v.offset.str());
    return fmt::format("%{}.strided({}, strides {}{})", v.root, sym::str(v.sizes), sym::str(v.strides), offset);
  }

  static std::string inner(const sym::Shape& sizes) {
    const auto text = sym::str(sizes);
    return text.substr(1, text.size() - 2);
  }

  std::string uses(const std::vector<ValueId>& ids) const {
    std::vector<std::string> out;
    for (ValueId id : ids) out.push_back(use(id));
    return fmt::format("{}", fmt::join(out, ", "));
  }

  std::string definitions(const std::vector<ValueId>& ids) const {
    std::vector<std::string> out;
    for (ValueId id : ids) out.push_back(fmt::format("%{} {}", id, type_of(graph_.at(id))));
    return fmt::format("{}", fmt::join(out, ", "));
  }

  void nodes(const std::vector<Node>& list) {
    indent_ += 2;
    for (const Node& n : list) {
      const auto defines = n.defines.empty() ? "" : fmt::format(" defines {}", fmt::join(n.defines, ", "));
      const auto attrs = n.attrs.items().empty() ? "" : fmt::format(" {{{}}}", n.attrs.str());
      line(
          fmt::format("{}{}{}({}){}{}{}", definitions(n.outputs), n.outputs.empty() ? "" : " = ", core::name(n.op), uses(n.inputs), attrs, defines, origin(n)));
      for (const Region& r : n.regions) region(r);
    }
    indent_ -= 2;
  }

  std::string origin(const Node& n) const {
    const auto segment = graph_.segments.size() > 1 ? fmt::format(" @{}", n.segment) : "";
    return n.name.empty() && segment.empty() ? "" : fmt::format("  # {}{}", n.name, segment);
  }

  void region(const Region& r) {
    line(fmt::format("  region({})", definitions(r.params)));
    indent_ += 2;
    nodes(r.nodes);
    line(fmt::format("  yield {}", uses(r.results)));
    indent_ -= 2;
  }

  void results() {
    line("results:");
    for (const Result& r : graph_.results) {
      switch (r.kind) {
        case Result::Kind::tensor:
          line(fmt::format("  {} {}", use(r.value), type_of(graph_.at(r.value))));
          break;
        case Result::Kind::none:
          line("  None");
          break;
        case Result::Kind::text:
          line(fmt::format("  \"{}\"", r.text));
          break;
        default:
          line(fmt::format("  {}", r.scalar.str()));
      }
    }
  }

  const Graph& graph_;
  std::string out_;
  int indent_ = 0;
};

}  // namespace

std::string print(const Graph& graph) { return Printer(graph).run(); }

}  // namespace reprise::ir
