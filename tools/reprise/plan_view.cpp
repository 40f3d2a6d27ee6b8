#include "plan_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "base/json.h"
#include "exec/memory_report.h"
#include "runtime/ahead.h"
#include "runtime/module_impl.h"

namespace reprise::cli {

namespace {

std::vector<std::int64_t> buffers_of(const std::vector<plan::Operand>& operands) {
  std::vector<std::int64_t> buffers;
  for (const auto& operand : operands) buffers.push_back(operand.buffer);
  return buffers;
}

/// By id, with their bytes at the first profile's opt sizes.
void json_buffers(base::JsonWriter& json, const plan::Plan& plan) {
  const char* kinds[] = {"temp", "input", "output", "weight", "state"};
  const auto bytes = exec::buffer_bytes(plan);
  json.key("buffers").begin_array();
  for (std::size_t i = 0; i < bytes.size(); ++i)
    json.begin_object().field("kind", kinds[static_cast<std::size_t>(plan.buffers[i].kind)]).field("bytes", static_cast<std::int64_t>(bytes[i])).end_object();
  json.end_array();
}

}  // namespace

std::string plan_text(const Module& module, const std::string& architecture) {
  const auto rows = runtime::command_kernels(module, architecture);
  std::size_t width = 6;
  for (const auto& row : rows) width = std::max(width, fmt::format("{}", fmt::join(row.kernels.names, " + ")).size());
  width = std::min<std::size_t>(width, 100);
  std::string text = fmt::format("kernels at the first profile's opt shapes\n{:>6}  {:<16} {:>10}  {:<{}}  {}\n", "", "op", "µs", "kernels", width, "node");
  for (const auto& [command, kernels] : rows) {
    const std::string time = kernels.microseconds ? fmt::format("{:.2f}", *kernels.microseconds) : "";
    text += fmt::format("{:>6}  {:<16} {:>10}  {:<{}}  {}\n", command->position, core::name(command->op), time,
                        fmt::format("{}", fmt::join(kernels.names, " + ")), width, command->name);
  }
  return text;
}

std::string plan_json(const Module& module, const std::string& architecture) {
  base::JsonWriter json(true);
  json.begin_object();
  json_buffers(json, *module.impl()->plan);
  json.key("commands").begin_array();
  for (const auto& [command, kernels] : runtime::command_kernels(module, architecture)) {
    json.begin_object().field("position", command->position).field("op", core::name(command->op)).field("name", command->name).field("trace", command->trace);
    json.key("inputs").values(buffers_of(command->inputs)).key("outputs").values(buffers_of(command->outputs));
    json.key("kernels").values(kernels.names).key("microseconds");
    if (kernels.microseconds)
      json.value(*kernels.microseconds);
    else
      json.null();
    json.end_object();
  }
  json.end_array().end_object();
  return json.take() + "\n";
}

}  // namespace reprise::cli
