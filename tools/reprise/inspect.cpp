// reprise inspect: what is in a program or module.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <string>

#include "api/compiler/build.h"
#include "api/compiler/program_impl.h"
#include "base/check.h"
#include "base/json.h"
#include "exec/memory_report.h"
#include "ir/graph.h"
#include "kernels/provider.h"
#include "kernels/stored_forms.h"
#include "model.h"
#include "plan_view.h"
#include "runtime/module_impl.h"
#include "verbs.h"

namespace reprise::cli {

namespace {

struct InspectFlags {
  std::string model;
  bool graph = false, core = false, plan = false, memory = false, json = false;
  CompileFlags compile;
};

using Counts = std::map<std::string, int>;

Counts command_counts(const plan::Plan& plan) {
  Counts counts;
  for (const auto& block : plan.blocks) {
    for (const auto& command : block.commands) ++counts[std::string(core::name(command.op))];
  }
  return counts;
}

std::string range_text(const SignatureEntry& entry) {
  std::string text;
  for (std::size_t d = 0; d < entry.sizes.size(); ++d) {
    if (entry.min.at(d) == entry.max.at(d)) continue;
    const auto max = entry.max[d] == sym::kUnbounded ? std::string("…") : std::to_string(entry.max[d]);
    text += fmt::format("{}{} in {}..{} (opt {})", text.empty() ? "  " : ", ", entry.sizes[d], entry.min[d], max, entry.opt.at(d));
  }
  return text;
}

void print_entries(const char* title, const std::vector<SignatureEntry>& entries) {
  fmt::print("{}\n", title);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& e = entries[i];
    using Kind = SignatureEntry::Kind;
    const char* kinds[] = {"tensor", "integer", "real", "boolean", "text", "None", "constant"};
    if (e.kind == Kind::tensor)
      fmt::print("  {:<3} {:<24} {:<5} [{}]{}\n", i, e.name, name(e.dtype), fmt::join(e.sizes, ", "), range_text(e));
    else
      fmt::print("  {:<3} {:<24} {}{}\n", i, e.name, kinds[static_cast<int>(e.kind)], e.kind == Kind::constant ? " " + e.constant : "");
  }
}

void json_entries(base::JsonWriter& json, const char* key, const std::vector<SignatureEntry>& entries) {
  const char* kinds[] = {"tensor", "integer", "real", "boolean", "text", "none", "constant"};
  json.key(key).begin_array();
  for (const auto& e : entries) {
    json.begin_object().field("name", e.name).field("kind", kinds[static_cast<int>(e.kind)]).field("dtype", name(e.dtype));
    json.key("sizes").values(e.sizes).key("min").values(e.min).key("opt").values(e.opt).key("max").values(e.max);
    json.end_object();
  }
  json.end_array();
}

/// What the tag of forms must be for this process to use them.
std::string tag_wanted() { return kernels::packing_tag(device::open(Device::cpu())); }

void print_summary(const Module& module) {
  const auto& plan = *module.impl()->plan;
  fmt::print("{} (exported by torch {}), {}\n", plan.producer, plan.torch_version, plan.settings.device.str());
  print_entries("inputs", module.inputs());
  print_entries("outputs", module.outputs());
  if (!plan.states.empty()) fmt::print("state\n");
  for (const auto& state : plan.states) fmt::print("  {} {} [{}]\n", state.name, name(state.initial.dtype()), fmt::join(state.initial.sizes(), ", "));
  if (const auto stored = kernels::summarize_stored_forms(plan); stored.count > 0) {
    const std::string wanted = tag_wanted();
    fmt::print("packed weights\n  {} forms, {:.1f} MB, for {}: {}\n", stored.count, static_cast<double>(stored.bytes) / 1e6, stored.tag,
               stored.tag == wanted ? "used here" : fmt::format("not used here, which is {}", wanted));
  }
  fmt::print("commands by op\n");
  for (const auto& [op, count] : command_counts(plan)) fmt::print("  {:<20} {}\n", op, count);
  fmt::print("segments\n");
  for (std::size_t s = 0; s < plan.segments.size(); ++s)
    fmt::print("  {:<3} {}{}{}\n", s, plan.segments[s].engine ? "engine" : "fallback", plan.segments[s].reason.empty() ? "" : ": ", plan.segments[s].reason);
}

void print_memory(const exec::MemoryReport& m) {
  fmt::print("memory at the first profile's opt sizes (bytes)\n");
  fmt::print("  weights            {:>14}\n  state              {:>14}\n  inputs             {:>14}\n  outputs            {:>14}\n", m.weight_bytes,
             m.state_bytes, m.input_bytes, m.output_bytes);
  fmt::print("  arena              {:>14}  (temps sum to {}, live at most {})\n", m.arena_bytes, m.temp_bytes, m.peak_live_bytes);
  fmt::print("  sized by data      {:>14} buffers\n", m.dynamic_buffers);
}

void print_json(const Module& module, const exec::MemoryReport& m) {
  const auto& plan = *module.impl()->plan;
  base::JsonWriter json(true);
  json.begin_object().field("producer", plan.producer).field("torch_version", plan.torch_version).field("device", plan.settings.device.str());
  json_entries(json, "inputs", module.inputs());
  json_entries(json, "outputs", module.outputs());
  json.key("commands_by_op").begin_object();
  for (const auto& [op, count] : command_counts(plan)) json.field(op, count);
  json.end_object().key("segments").begin_array();
  for (const auto& s : plan.segments) json.begin_object().field("engine", s.engine).field("reason", s.reason).end_object();
  json.end_array();
  const auto stored = kernels::summarize_stored_forms(plan);
  json.key("packed_weights").begin_object().field("forms", stored.count).field("bytes", stored.bytes).field("tag", stored.tag);
  json.field("used_here", stored.count > 0 && stored.tag == tag_wanted()).end_object();
  json.key("memory").begin_object();
  json.field("weights", m.weight_bytes).field("state", m.state_bytes).field("inputs", m.input_bytes).field("outputs", m.output_bytes);
  json.field("arena", m.arena_bytes)
      .field("temps", m.temp_bytes)
      .field("peak_live", m.peak_live_bytes)
      .field("dynamic_buffers", m.dynamic_buffers)
      .end_object();
  json.end_object();
  fmt::print("{}\n", json.str());
}

int inspect(const InspectFlags& flags) {
  const bool program = is_program(flags.model);
  REPRISE_CHECK(program || (!flags.graph && !flags.core), InvalidArgument, "[inspect/model] '{}' is a compiled module: --graph and --core need the .pt2",
                flags.model);
  if (flags.graph) {
    fmt::print("{}", load_program(flags.model).str());
    return kOk;
  }
  if (flags.core) {
    const auto loaded = load_program(flags.model);
    fmt::print("{}", ir::print(api::build_graph(loaded.impl().program, flags.compile.options(loaded))));
    return kOk;
  }
  const auto module = open_closed_module(flags.model, flags.compile);
  const auto& plan = *module.impl()->plan;
  if (flags.plan) {
    fmt::print("{}", flags.json ? plan_json(module, flags.compile.arch) : plan::print(plan) + plan_text(module, flags.compile.arch));
    return kOk;
  }
  const auto memory = exec::report_memory(module.impl()->executable->plan());
  if (flags.json)
    print_json(module, memory);
  else if (flags.memory)
    print_memory(memory);
  else
    print_summary(module);
  return kOk;
}

}  // namespace

Verb add_inspect(CLI::App& app) {
  auto flags = std::make_shared<InspectFlags>();
  app.add_option("model", flags->model, ".pt2 program or .rpz module")->required();
  auto* graph = app.add_flag("--graph", flags->graph, "The ATen graph, a line a node");
  auto* core = app.add_flag("--core", flags->core, "The core graph after all passes");
  auto* plan = app.add_flag("--plan", flags->plan, "Buffers, commands, and the kernels that these become");
  auto* memory = app.add_flag("--memory", flags->memory, "Memory by kind");
  app.add_flag("--json", flags->json, "Signature, segments, commands and memory as JSON; with --plan what each command becomes")
      ->excludes(graph)
      ->excludes(core)
      ->excludes(memory);
  graph->excludes(core)->excludes(plan)->excludes(memory);
  core->excludes(plan)->excludes(memory);
  plan->excludes(memory);
  flags->compile.add_to(app);
  return [flags] { return inspect(*flags); };
}

}  // namespace reprise::cli
