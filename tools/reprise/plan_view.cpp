#include "plan_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "base/json.h"
#include "runtime/ahead.h"

namespace reprise::cli {

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
  json.begin_object().key("commands").begin_array();
  for (const auto& [command, kernels] : runtime::command_kernels(module, architecture)) {
    json.begin_object().field("position", command->position).field("op", core::name(command->op)).field("name", command->name).field("trace", command->trace);
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
