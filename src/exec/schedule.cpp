#include "exec/schedule.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <variant>

namespace reprise::exec {
namespace {

using Names = std::vector<std::string>;

void collect(const sym::Shape& shape, Names& names) {
  for (const sym::Expr& e : shape) sym::collect_symbols(e, names);
}

void collect(const plan::Operand& operand, Names& names) {
  collect(operand.sizes, names);
  collect(operand.strides, names);
  sym::collect_symbols(operand.offset, names);
}

void collect(const core::Attr& attr, Names& names) {
  if (const auto* e = std::get_if<sym::Expr>(&attr)) sym::collect_symbols(*e, names);
  if (const auto* list = std::get_if<std::vector<sym::Expr>>(&attr)) collect(*list, names);
  if (const auto* program = std::get_if<core::ScalarProgramPtr>(&attr)) collect((*program)->symbols, names);
}

bool defines(const plan::Command& command, int symbol) {
  return std::any_of(command.defines.begin(), command.defines.end(), [&](const auto& define) { return define.symbol == symbol; });
}

class Scheduler {
 public:
  explicit Scheduler(const plan::Plan& plan) : plan_(plan) {
    schedule_.from_data.resize(static_cast<std::size_t>(plan.symbols.size()));
    for (const auto& block : plan.blocks)
      for (const auto& command : block.commands)
        for (const auto& define : command.defines) schedule_.from_data[static_cast<std::size_t>(define.symbol)] = true;
  }

  Schedule take() {
    for (const auto& block : plan_.blocks) schedule_.blocks.push_back(cut(block));
    return std::move(schedule_);
  }

 private:
  std::vector<Stage> cut(const plan::Block& block) {
    std::vector<Stage> stages;
    const plan::Command* begin = block.commands.data();
    const plan::Command* const end = begin + block.commands.size();
    for (const plan::Command* c = begin; c != end; ++c) {
      const bool control = c->op == core::Op::cond || c->op == core::Op::while_loop;
      if (control && begin != c) stages.push_back(stage(Stage::Kind::steps, begin, c));
      if (control) stages.push_back(stage(c->op == core::Op::cond ? Stage::Kind::cond : Stage::Kind::loop, c, c + 1));
      if (!control && !c->defines.empty()) stages.push_back(stage(Stage::Kind::steps, begin, c + 1));
      if (control || !c->defines.empty()) begin = c + 1;
    }
    if (begin != end) stages.push_back(stage(Stage::Kind::steps, begin, end));
    return stages;
  }

  Stage stage(Stage::Kind kind, const plan::Command* begin, const plan::Command* end) {
    Stage made{.kind = kind, .id = schedule_.stage_count++, .begin = begin, .end = end, .data_symbols = {}, .dynamic_buffers = {}, .crosses_segments = false};
    Names names;
    for (const plan::Command* c = begin; c != end; ++c) {
      made.crosses_segments = made.crosses_segments || c->segment != begin->segment;
      for (const auto* operands : {&c->inputs, &c->outputs}) {
        for (const auto& operand : *operands) {
          collect(operand, names);
          note_dynamic(operand.buffer, made, names);
        }
      }
      for (const auto& [key, attr] : c->attrs.items()) collect(attr, names);
    }
    for (const auto& name : names) {
      const int symbol = plan_.symbols.find(name);
      if (symbol >= 0 && schedule_.from_data[static_cast<std::size_t>(symbol)] && !defines(*(end - 1), symbol)) made.data_symbols.push_back(symbol);
    }
    return made;
  }

  void note_dynamic(plan::BufferId id, Stage& stage, Names& names) const {
    const auto& buffer = plan_.buffers[static_cast<std::size_t>(id)];
    if (!buffer.dynamic || std::find(stage.dynamic_buffers.begin(), stage.dynamic_buffers.end(), id) != stage.dynamic_buffers.end()) return;
    stage.dynamic_buffers.push_back(id);
    sym::collect_symbols(buffer.size_bytes, names);
  }

  const plan::Plan& plan_;
  Schedule schedule_;
};

}  // namespace

Schedule make_schedule(const plan::Plan& plan) { return Scheduler(plan).take(); }

}  // namespace reprise::exec
