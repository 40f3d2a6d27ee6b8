#include "partition/report.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "base/json.h"

namespace reprise::partition {
namespace {

void add_names(const ir::Arg& arg, std::vector<std::string>& out) {
  if (const auto* tensor = std::get_if<ir::TensorName>(&arg)) out.push_back(tensor->name);
  if (const auto* list = std::get_if<std::vector<std::optional<ir::TensorName>>>(&arg))
    for (const auto& item : *list)
      if (item) out.push_back(item->name);
}

std::vector<std::string> read_by(const ir::AtenNode& node) {
  std::vector<std::string> names;
  for (const auto& arg : node.args) add_names(arg.value, names);
  return names;
}

std::vector<std::string> made_by(const ir::AtenNode& node) {
  std::vector<std::string> names;
  for (const auto& output : node.outputs) {
    if (const auto* tensor = std::get_if<ir::TensorName>(&output)) names.push_back(tensor->name);
    if (const auto* list = std::get_if<std::vector<ir::TensorName>>(&output))
      for (const auto& item : *list) names.push_back(item.name);
  }
  return names;
}

/// What a user can do about it; null: nothing, or it was asked for.
const char* remedy(const std::string& reason) {
  const auto says = [&](const char* part) { return reason.find(part) != std::string::npos; };
  if (says("has no converter")) return "register a converter or a foreign kernel";
  if (says("does not support dynamic shapes")) return "register one that supports_dynamic_shapes, or export with fixed sizes";
  if (says("its converter failed")) return "see why with pass_through_build_failures";
  return nullptr;
}

class Reporter {
 public:
  Reporter(const ir::Program& program, const Partition& partition, const PartitionOptions& options)
      : program_(program), partition_(partition), options_(options), out_{} {}
  DryRun run();

 private:
  void place_values();
  void count_ops();
  void find_borders();
  void advise();
  [[nodiscard]] DryRun::Tensor describe(const std::string& name) const;
  [[nodiscard]] int segment_of(std::size_t node) const { return partition_.assignment.segment[node]; }

  static constexpr int kCaller = -1, kWeight = -2;
  const ir::Program& program_;
  const Partition& partition_;
  const PartitionOptions& options_;
  DryRun out_;
  std::map<std::string, int> home_;  // by value: its segment, the caller or a weight
};

DryRun Reporter::run() {
  for (const auto& segment : partition_.assignment.segments) {
    out_.segments.emplace_back();
    out_.segments.back().engine = segment.engine;
    out_.segments.back().reason = segment.reason;
  }
  place_values();
  count_ops();
  find_borders();
  advise();
  return std::move(out_);
}

void Reporter::place_values() {
  for (std::size_t i = 0; i < program_.inputs.size(); ++i)
    if (const auto* tensor = std::get_if<ir::TensorName>(&program_.graph.inputs[i]))
      home_[tensor->name] = program_.inputs[i].kind == ir::InputKind::user ? kCaller : kWeight;
  for (std::size_t i = 0; i < program_.graph.nodes.size(); ++i)
    for (const auto& name : made_by(program_.graph.nodes[i])) home_[name] = segment_of(i);
}

void Reporter::count_ops() {
  std::vector<std::map<std::string, int>> counts(out_.segments.size());
  for (std::size_t i = 0; i < program_.graph.nodes.size(); ++i) {
    const auto& node = program_.graph.nodes[i];
    if (ops::is_scalar_arithmetic(node)) continue;
    auto& segment = out_.segments[static_cast<std::size_t>(segment_of(i))];
    ++segment.ops;
    ++counts[static_cast<std::size_t>(segment_of(i))][node.target];
    ++out_.ops;
    out_.engine_ops += segment.engine ? 1 : 0;
    if (!partition_.reasons[i].empty()) out_.fallbacks.push_back({node.target, node.source.name, partition_.reasons[i], node.source.trace});
  }
  for (std::size_t s = 0; s < counts.size(); ++s) {
    auto& list = out_.segments[s].counts;
    list.assign(counts[s].begin(), counts[s].end());
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  }
}

DryRun::Tensor Reporter::describe(const std::string& name) const {
  const auto& meta = program_.graph.tensors.at(name);
  DryRun::Tensor out{name, meta.dtype, {}};
  for (const auto& size : meta.sizes) out.sizes.push_back(size.str());
  return out;
}

void Reporter::find_borders() {
  std::set<std::string> sent;
  std::set<std::pair<int, std::string>> received;
  const auto cross = [&](const std::string& name, int reader) {
    const auto found = home_.find(name);
    if (found == home_.end() || found->second == reader || found->second == kWeight) return;
    if (reader >= 0 && received.insert({reader, name}).second) out_.segments[static_cast<std::size_t>(reader)].inputs.push_back(describe(name));
    if (found->second >= 0 && sent.insert(name).second) out_.segments[static_cast<std::size_t>(found->second)].outputs.push_back(describe(name));
  };
  for (std::size_t i = 0; i < program_.graph.nodes.size(); ++i)
    for (const auto& name : read_by(program_.graph.nodes[i])) cross(name, segment_of(i));
  for (const auto& output : program_.graph.outputs)
    if (const auto* tensor = std::get_if<ir::TensorName>(&output)) cross(tensor->name, kCaller);
}

void Reporter::advise() {
  std::map<std::string, int> by_reason;
  for (const auto& fallback : out_.fallbacks) ++by_reason[fallback.reason];
  for (const auto& [reason, count] : by_reason)
    if (const char* what = remedy(reason)) out_.advice.push_back(fmt::format("{}: {} ({} {})", what, reason, count, count == 1 ? "node" : "nodes"));
  int smallest = 0;
  for (const auto& segment : out_.segments)
    if (segment.engine && segment.ops > 0) smallest = smallest == 0 ? segment.ops : std::min(smallest, segment.ops);
  const bool folded = std::any_of(by_reason.begin(), by_reason.end(), [](const auto& r) { return r.first.find("min_block_size") != std::string::npos; });
  if (folded) out_.advice.push_back(fmt::format("min_block_size {} folds engines into their fallback neighbours: 1 keeps them all", options_.min_block_size));
  if (!folded && out_.segments.size() > 1 && smallest > 0)
    out_.advice.push_back(fmt::format("every engine stays up to min_block_size {}, the smallest one's number of ops", smallest));
}

std::string text_of(const DryRun::Tensor& t) { return fmt::format("{} {} [{}]", t.name, name(t.dtype), fmt::join(t.sizes, ", ")); }

}  // namespace

DryRun report(const ir::Program& program, const Partition& partition, const PartitionOptions& options) { return Reporter(program, partition, options).run(); }

}  // namespace reprise::partition

namespace reprise {
namespace {

void write(base::JsonWriter& json, const std::vector<DryRun::Tensor>& tensors) {
  json.begin_array();
  for (const auto& t : tensors) {
    json.begin_object().field("name", t.name).field("dtype", name(t.dtype)).key("sizes").values(t.sizes);
    json.end_object();
  }
  json.end_array();
}

void write(base::JsonWriter& json, const DryRun::Segment& s) {
  json.begin_object().field("engine", s.engine).field("reason", s.reason).field("ops", s.ops).key("counts").begin_object();
  for (const auto& [op, count] : s.counts) json.field(op, count);
  json.end_object().key("inputs");
  write(json, s.inputs);
  json.key("outputs");
  write(json, s.outputs);
  json.end_object();
}

}  // namespace

double DryRun::coverage() const { return ops == 0 ? 1.0 : static_cast<double>(engine_ops) / ops; }

std::string DryRun::str() const {
  auto text =
      fmt::format("{} of {} ops in engines ({:.1f} %), {} segment{}\n", engine_ops, ops, coverage() * 100, segments.size(), segments.size() == 1 ? "" : "s");
  const auto line = [&](const char* label, const std::vector<Tensor>& tensors) {
    for (const auto& t : tensors) text += fmt::format("    {} {}\n", label, partition::text_of(t));
  };
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& s = segments[i];
    text += fmt::format("segment {}: {}, {} op{}{}\n", i, s.engine ? "engine" : "fallback", s.ops, s.ops == 1 ? "" : "s", s.engine ? "" : ": " + s.reason);
    for (const auto& [op, count] : s.counts) text += fmt::format("    {:>5} x {}\n", count, op);
    line("in ", s.inputs);
    line("out", s.outputs);
  }
  for (const auto& f : fallbacks) text += fmt::format("falls back: {} ({}){}\n", f.node, f.reason, f.source.empty() ? "" : ", " + f.source);
  for (const auto& a : advice) text += fmt::format("advice: {}\n", a);
  return text;
}

std::string DryRun::json() const {
  base::JsonWriter json(true);
  json.begin_object().field("ops", ops).field("engine_ops", engine_ops).field("coverage", coverage()).key("segments").begin_array();
  for (const auto& s : segments) write(json, s);
  json.end_array().key("fallbacks").begin_array();
  for (const auto& f : fallbacks) json.begin_object().field("op", f.op).field("node", f.node).field("reason", f.reason).field("source", f.source).end_object();
  json.end_array().key("advice").values(advice).end_object();
  return json.take();
}

}  // namespace reprise
