// The driver's side of a Context: one node, the names it sees, and what becomes of its results.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ops/converter.h"

namespace reprise::ops {

/// The tensors of one graph by name; a nested graph has a scope of its own.
struct Scope {
  const ir::AtenGraph* graph = nullptr;
  std::unordered_map<std::string, Val> tensors;

  /// Throws InvalidArgument when no node gave the name a value.
  [[nodiscard]] Val at(const std::string& name) const;
};

/// The outputs of a node, lists counted through: a tensor's name, a symbolic scalar, or None.
using FlatOutput = std::variant<ir::None, ir::TensorName, ir::SymOutput>;
std::vector<FlatOutput> flatten(const std::vector<ir::Output>& outputs);

class NodeContext final : public Context {
 public:
  using Inline = std::function<std::vector<Val>(const ir::AtenGraph&, std::span<const Val>)>;
  NodeContext(ir::Builder& builder, const ir::AtenNode& node, const Registry::Entry& entry, Scope& scope, Inline inline_graph);

  /// Binds the results to their names, after checking them against what the exporter says and adopting its size expressions.
  void finish();

  [[nodiscard]] ir::Builder& build() override { return *builder_; }
  [[nodiscard]] const ir::AtenNode& node() const override { return *node_; }
  [[nodiscard]] const ir::Arg& arg(std::string_view name) const override;
  [[nodiscard]] Val tensor(std::string_view name) override;
  [[nodiscard]] std::vector<Val> tensors(std::string_view name) override;
  [[nodiscard]] const ir::TensorMeta* output_meta(int i) const override;
  [[nodiscard]] sym::Expr output_symbol(int i) const override;
  void set(int i, Val value) override;
  [[nodiscard]] std::vector<Val> inline_graph(const ir::AtenGraph& graph, std::span<const Val> inputs) override;

 private:
  void bind_arguments();
  [[nodiscard]] std::size_t find_param(std::string_view name) const;
  Val write_to(Val destination, Val value);
  /// A size that the exporter gave a symbol of its own (that of a slice up to item()) defines that symbol, unless it is known already.
  void define_sizes(const sym::Shape& own, const sym::Shape& exported);
  Val adopt(Val value, const std::string& name, const ir::TensorMeta& meta);

  ir::Builder* builder_;
  const ir::AtenNode* node_;
  const Registry::Entry* entry_;
  Scope* scope_;
  Inline inline_graph_;
  std::vector<ir::Arg> arguments_;  // one per schema parameter
  const ir::Arg* out_ = nullptr;    // of a derived .out form
  std::vector<FlatOutput> outputs_;
  std::vector<Val> results_;
  ir::ValueId first_own_;  // values from here on are made by this node
};

}  // namespace reprise::ops
