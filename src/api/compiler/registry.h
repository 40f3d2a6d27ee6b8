// The converters of one compilation: ours, the process's, and those of its options.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "ops/converter.h"
#include "reprise/compile.h"

namespace reprise::api {

/// The graph of every node of a program.
using GraphOf = std::map<const ir::AtenNode*, const ir::AtenGraph*>;

/// Converters of users whose body threw, and at which nodes. One compilation's.
class BuildFailures {
 public:
  void note(const ir::AtenNode& node, int converter, std::string reason);
  /// Why the converter is not asked again.
  [[nodiscard]] const std::string* find(const ir::AtenNode& node, int converter) const;
  /// Nodes that fall back because of them, and why.
  [[nodiscard]] std::map<const ir::AtenNode*, std::string> reasons() const;
  [[nodiscard]] std::size_t count() const { return failed_.size(); }

 private:
  std::map<std::pair<const ir::AtenNode*, int>, std::string> failed_;
};

/// Of the program that is compiled, which must outlive it.
class CompileRegistry {
 public:
  /// Throws InvalidArgument for a converter or kernel that cannot work.
  CompileRegistry(const ir::Program& program, const CompileOptions& options, const ops::Registry& ours = ops::Registry::builtin());
  [[nodiscard]] const ops::Registry& get() const { return own_ != nullptr ? *own_ : ours_; }
  [[nodiscard]] const BuildFailures& failures() const { return *failures_; }

 private:
  const ops::Registry& ours_;
  std::shared_ptr<BuildFailures> failures_ = std::make_shared<BuildFailures>();
  std::shared_ptr<GraphOf> graphs_ = std::make_shared<GraphOf>();
  std::unique_ptr<ops::Registry> own_;  // null: nothing was registered
};

// Rows of the table for what users register.
ops::Converter to_row(const Converter& converter, const std::string& schema, std::shared_ptr<const GraphOf> graphs);
ops::Converter to_row(std::shared_ptr<const ForeignKernel> kernel, DeviceType device, std::shared_ptr<const GraphOf> graphs);

/// The rows of custom ops that change their arguments in programs after run_decompositions(). `registry`, which has the rows of these ops already, and `graphs`
/// must outlive their use.
void add_functionalized_rows(ops::Registry& registry, GraphOf& graphs);
[[nodiscard]] bool has_functionalized(const GraphOf& graphs);

}  // namespace reprise::api
