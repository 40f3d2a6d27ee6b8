// Upper bounds of sizes that depend on data, in terms of symbols known at the start of a call.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "ir/graph.h"
#include "sym/expr.h"

namespace reprise::lower {

class SizeBounds {
 public:
  explicit SizeBounds(const ir::Graph& graph);
  /// `e` with every unbacked symbol replaced by its bound; `e` itself when it holds none; nullopt when no bound is known or `e` need not grow with it.
  [[nodiscard]] std::optional<sym::Expr> bound(const sym::Expr& e) const;

 private:
  void learn(const ir::Region& region);
  void learn(const ir::Node& node);

  const ir::Graph& graph_;
  std::unordered_map<std::string, sym::Expr> bounds_;  // of unbacked symbols
};

}  // namespace reprise::lower
