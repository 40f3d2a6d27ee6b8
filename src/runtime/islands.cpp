#include "runtime/islands.h"

#include <fmt/format.h>

#include <algorithm>

namespace reprise::runtime {

using exec::Stage;

std::vector<const Stage*> find_islands(const exec::Schedule& schedule) {
  std::vector<const Stage*> found;
  for (const auto& block : schedule.blocks)
    for (const Stage& stage : block)
      if (stage.kind != Stage::Kind::steps || !stage.last().defines.empty()) found.push_back(&stage);
  std::sort(found.begin(), found.end(), [](const Stage* a, const Stage* b) { return a->last().position < b->last().position; });
  return found;
}

std::vector<const plan::Command*> find_live_commands(const exec::Executable& executable) {
  std::vector<const plan::Command*> found;
  for (const auto& block : executable.plan().blocks)
    for (const auto& command : block.commands)
      if (!executable.why_live(command).empty()) found.push_back(&command);
  std::sort(found.begin(), found.end(), [](const auto* a, const auto* b) { return a->position < b->position; });
  return found;
}

std::string describe_wait(const plan::Plan& plan, const Stage& stage) {
  if (stage.kind == Stage::Kind::cond) return "the host chooses a branch";
  if (stage.kind == Stage::Kind::loop) return "the host decides on another round";
  std::vector<std::string> symbols;
  for (const auto& define : stage.last().defines) symbols.push_back(plan.symbols.at(define.symbol).name);
  return fmt::format("the host needs {}", fmt::join(symbols, ", "));
}

bool needs_output_allocator(const exec::Executable& executable) {
  const auto& plan = executable.plan();
  const auto counts = [](const plan::Command& c) {
    const bool foreign = c.op == core::Op::foreign && c.attrs.flag("measures", false);
    return foreign || std::any_of(c.defines.begin(), c.defines.end(), [](const auto& d) { return d.output >= 0; });
  };
  for (const auto& block : plan.blocks)
    if (std::any_of(block.commands.begin(), block.commands.end(), counts)) return true;
  const auto from_data = [&](const sym::Expr& size) {
    std::vector<std::string> names;
    sym::collect_symbols(size, names);
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      const int symbol = plan.symbols.find(name);
      return symbol >= 0 && executable.schedule().from_data[static_cast<std::size_t>(symbol)];
    });
  };
  return std::any_of(plan.outputs.begin(), plan.outputs.end(), [&](const auto& spec) { return std::any_of(spec.sizes.begin(), spec.sizes.end(), from_data); });
}

std::string why_not_monolithic(const exec::Executable& executable) {
  const auto islands = find_islands(executable.schedule());
  const auto live = find_live_commands(executable);
  if (!live.empty() && (islands.empty() || live.front()->position < islands.front()->last().position))
    return fmt::format("segment {} cannot be captured at '{}': {}", live.front()->segment, live.front()->name, executable.why_live(*live.front()));
  if (islands.empty()) return "";
  const auto& command = islands.front()->last();
  return fmt::format("segment {} needs the host: {} at '{}' ({})", command.segment, describe_wait(executable.plan(), *islands.front()), command.name,
                     core::name(command.op));
}

}  // namespace reprise::runtime
