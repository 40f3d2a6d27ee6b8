// A node of a program as validators, converters and foreign kernels of users see it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ops/converter.h"
#include "reprise/op_node.h"
#include "sym/sym_int.h"

namespace reprise::api {

SymInt to_public(const sym::Expr& expr);
std::vector<SymInt> to_public(std::span<const sym::Expr> sizes);
TensorInfo to_public(const ir::TensorMeta& meta);
sym::Shape to_shape(std::span<const SymInt> sizes);

/// A node's arguments by a schema, without a graph to build. What builds throws.
class NodeArguments final : public ops::Context {
 public:
  NodeArguments(const ir::AtenNode& node, const ops::Schema& schema) : node_(node), schema_(schema) {}
  [[nodiscard]] const ir::AtenNode& node() const override { return node_; }
  [[nodiscard]] const ir::Arg& arg(std::string_view name) const override;

  [[nodiscard]] ir::Builder& build() override { refuse(); }
  [[nodiscard]] ir::Val tensor(std::string_view) override { refuse(); }
  [[nodiscard]] std::vector<ir::Val> tensors(std::string_view) override { refuse(); }
  [[nodiscard]] const ir::TensorMeta* output_meta(int) const override { refuse(); }
  [[nodiscard]] sym::Expr output_symbol(int) const override { refuse(); }
  void set(int, ir::Val) override { refuse(); }
  [[nodiscard]] std::vector<ir::Val> inline_graph(const ir::AtenGraph&, std::span<const ir::Val>) override { refuse(); }

 private:
  [[noreturn]] void refuse() const;
  const ir::AtenNode& node_;
  const ops::Schema& schema_;
};

/// The implementation of OpNode, for it and what derives from it. All arguments must outlive it.
template <class Base>
class OpNodeView : public Base {
 public:
  OpNodeView(const ir::AtenNode& node, const ir::AtenGraph& graph, const ops::Schema& schema) : arguments_(node, schema), graph_(graph) {}

  [[nodiscard]] std::string target() const override { return arguments_.node().target; }
  [[nodiscard]] std::string name() const override { return arguments_.node().source.name; }
  [[nodiscard]] std::string source() const override { return arguments_.node().source.trace; }
  [[nodiscard]] bool is_none(std::string_view argument) const override { return arguments_.is_none(argument); }
  [[nodiscard]] bool is_tensor(std::string_view argument) const override { return arguments_.is_tensor(argument); }
  [[nodiscard]] TensorInfo tensor_info(std::string_view argument) const override;
  [[nodiscard]] std::vector<TensorInfo> tensor_infos(std::string_view argument) const override;
  [[nodiscard]] SymInt integer(std::string_view argument) const override { return to_public(arguments_.integer(argument)); }
  [[nodiscard]] std::vector<SymInt> integers(std::string_view argument) const override { return to_public(arguments_.ints(argument)); }
  [[nodiscard]] double real(std::string_view argument) const override { return arguments_.real(argument); }
  [[nodiscard]] std::vector<double> reals(std::string_view argument) const override { return arguments_.reals(argument); }
  [[nodiscard]] bool flag(std::string_view argument) const override { return arguments_.flag(argument); }
  [[nodiscard]] std::string text(std::string_view argument) const override { return arguments_.text(argument); }
  [[nodiscard]] std::optional<DType> dtype(std::string_view argument) const override { return arguments_.dtype(argument); }
  [[nodiscard]] std::vector<TensorInfo> outputs() const override;

 private:
  NodeArguments arguments_;
  const ir::AtenGraph& graph_;
};

extern template class OpNodeView<OpNode>;

}  // namespace reprise::api
