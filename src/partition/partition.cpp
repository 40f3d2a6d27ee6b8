#include "partition/partition.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace reprise::partition {
namespace {

class Partitioner {
 public:
  Partitioner(const ir::Program& program, const ops::Registry& registry, const PartitionOptions& options)
      : graph_(program.graph), registry_(registry), options_(options) {}
  Partition run();

 private:
  [[nodiscard]] std::string reason(const ir::AtenNode& node, const ir::AtenGraph& graph) const;
  [[nodiscard]] std::string nested_reason(const ir::AtenNode& node) const;
  void refuse_breaks() const;
  void fold_small_runs();
  [[nodiscard]] bool falls_back(std::size_t node) const { return !reasons_[node].empty(); }
  [[nodiscard]] bool is_neutral(std::size_t node) const { return ops::is_scalar_arithmetic(graph_.nodes[node]); }
  [[nodiscard]] ops::Assignment assign() const;

  const ir::AtenGraph& graph_;
  const ops::Registry& registry_;
  const PartitionOptions& options_;
  std::vector<std::string> reasons_;
};

Partition Partitioner::run() {
  for (const auto& node : graph_.nodes) reasons_.push_back(reason(node, graph_));
  if (options_.require_full_compilation)
    refuse_breaks();
  else
    fold_small_runs();
  auto assignment = assign();
  return {std::move(assignment), std::move(reasons_)};
}

std::string Partitioner::reason(const ir::AtenNode& node, const ir::AtenGraph& graph) const {
  if (ops::is_scalar_arithmetic(node)) return {};
  const auto& named = options_.fallback_ops;
  if (std::any_of(named.begin(), named.end(), [&](const auto& op) { return names_target(op, node.target); }))
    return fmt::format("{} is in fallback_ops", node.target);
  if (auto inside = nested_reason(node); !inside.empty()) return inside;
  if (const auto failed = options_.failed.find(&node); failed != options_.failed.end()) return failed->second;
  const auto match = registry_.match(node, ops::is_dynamic(node, graph));
  if (match.entry != nullptr) return {};
  return match.reason.empty() ? fmt::format("{} has no converter", node.target) : fmt::format("{}: {}", node.target, match.reason);
}

std::string Partitioner::nested_reason(const ir::AtenNode& node) const {
  for (const auto& arg : node.args)
    if (const auto* nested = std::get_if<std::shared_ptr<const ir::AtenGraph>>(&arg.value))
      for (const auto& inner : (*nested)->nodes)
        if (auto text = reason(inner, **nested); !text.empty()) return fmt::format("inside {}: {}", node.target, text);
  return {};
}

void Partitioner::refuse_breaks() const {
  std::set<std::string> distinct;
  for (const auto& text : reasons_)
    if (!text.empty()) distinct.insert(text);
  REPRISE_CHECK(distinct.empty(), UnsupportedOp, "[compile/partition] require_full_compilation is set, and these ops fall back: {}", fmt::join(distinct, "; "));
}

void Partitioner::fold_small_runs() {
  std::vector<std::size_t> run;
  const auto close = [&] {
    if (std::ssize(run) < options_.min_block_size)
      for (const auto i : run) reasons_[i] = fmt::format("an engine of {} ops is smaller than min_block_size {}", run.size(), options_.min_block_size);
    run.clear();
  };
  for (std::size_t i = 0; i < reasons_.size(); ++i) {
    if (is_neutral(i)) continue;
    if (falls_back(i))
      close();
    else
      run.push_back(i);
  }
  close();
}

/// Neutral nodes stay in the segment before them; those in front of all others join the first segment.
ops::Assignment Partitioner::assign() const {
  ops::Assignment out;
  std::vector<std::set<std::string>> whys;
  std::size_t leading = 0;
  for (std::size_t i = 0; i < reasons_.size(); ++i) {
    if (is_neutral(i)) {
      if (out.segments.empty())
        ++leading;
      else
        out.segment.push_back(static_cast<int>(out.segments.size()) - 1);
      continue;
    }
    if (out.segments.empty() || out.segments.back().engine == falls_back(i)) {
      out.segments.push_back({!falls_back(i), ""});
      whys.emplace_back();
    }
    if (falls_back(i)) whys.back().insert(reasons_[i]);
    out.segment.push_back(static_cast<int>(out.segments.size()) - 1);
  }
  if (out.segments.empty()) out.segments.push_back({true, ""});
  out.segment.insert(out.segment.begin(), leading, 0);
  for (std::size_t s = 0; s < whys.size(); ++s) out.segments[s].reason = fmt::format("{}", fmt::join(whys[s], "; "));
  return out;
}

}  // namespace

bool names_target(std::string_view op, std::string_view target) {
  constexpr std::string_view kPrefix = "torch.ops.";
  if (op.starts_with(kPrefix)) op.remove_prefix(kPrefix.size());
  return target == op || (target.size() > op.size() && target.starts_with(op) && target[op.size()] == '.');
}

Partition partition(const ir::Program& program, const ops::Registry& registry, const PartitionOptions& options) {
  for (const auto& op : options.fallback_ops) REPRISE_CHECK(!op.empty(), InvalidArgument, "[partition/fallback_ops] an op name is empty");
  REPRISE_CHECK(options.min_block_size >= 1, InvalidArgument, "[partition/min_block_size] must be 1 or more (got {})", options.min_block_size);
  return Partitioner(program, registry, options).run();
}

}  // namespace reprise::partition
