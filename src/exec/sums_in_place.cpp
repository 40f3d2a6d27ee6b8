#include "exec/sums_in_place.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/epilogue_form.h"
#include "plan/commands.h"
#include "sym/layout.h"

namespace reprise::exec {
namespace {

using plan::BufferId;
using plan::Command;
using plan::Operand;

/// Element by element in the same places.
bool lies_alike(const Operand& a, const Operand& b) {
  return a.dtype == b.dtype && a.offset == b.offset && sym::same_layout(a.sizes, a.strides, b.sizes, b.strides);
}

/// The summand of the command's epilogue; null: it has none.
const Operand* summand_of(const Command& command) {
  if ((command.op != core::Op::matmul && command.op != core::Op::conv) || !command.attrs.has("epilogue")) return nullptr;
  const std::size_t own = command.attrs.flag("has_bias", false) ? 3 : 2;
  const auto form = kernels::classify_epilogue(*command.attrs.program("epilogue"));
  const bool adds = form.activation != kernels::Activation::other && form.adds && command.inputs.size() == own + 1;
  return adds ? &command.inputs[own] : nullptr;
}

bool may_hold_sum(const plan::Plan& plan, const Command& command, const Operand& summand) {
  const Operand& sum = command.outputs.front();
  const auto &from = plan.buffers[static_cast<std::size_t>(summand.buffer)], &to = plan.buffers[static_cast<std::size_t>(sum.buffer)];
  const auto is_fixed_temp = [](const plan::Buffer& buffer) { return buffer.kind == plan::BufferKind::temp && !buffer.dynamic; };
  if (!is_fixed_temp(from) || !is_fixed_temp(to) || from.last != command.position || to.first != command.position) return false;
  const auto reads = std::ranges::count_if(command.inputs, [&](const Operand& input) { return input.buffer == summand.buffer; });
  return reads == 1 && from.size_bytes == to.size_bytes && lies_alike(summand, sum);
}

}  // namespace

void PlacedSums::undo(plan::Plan& plan) const {
  for (const Home& home : homes) {
    Command& command = plan.blocks[static_cast<std::size_t>(home.block)].commands[home.command];
    (home.is_output ? command.outputs : command.inputs)[home.index].buffer = home.before;
  }
  // What a buffer's life was first counts last.
  for (auto life = lives.rbegin(); life != lives.rend(); ++life) {
    auto& buffer = plan.buffers[static_cast<std::size_t>(life->buffer)];
    buffer.first = life->first;
    buffer.last = life->last;
  }
}

plan::PlanPtr place_sums(plan::PlanPtr plan, PlacedSums* placed) {
  std::vector<BufferId> home(plan->buffers.size(), -1);  // of a sum: the summand's
  bool any = false;
  plan::for_each_command(*plan, [&](const Command& command) {
    const Operand* summand = summand_of(command);
    if (summand == nullptr || !may_hold_sum(*plan, command, *summand)) return;
    home[static_cast<std::size_t>(command.outputs.front().buffer)] = summand->buffer;
    any = true;
  });
  if (!any) return plan;
  const auto first_home = [&](BufferId id) {
    while (home[static_cast<std::size_t>(id)] >= 0) id = home[static_cast<std::size_t>(id)];
    return id;
  };
  auto changed = plan.use_count() == 1 ? std::const_pointer_cast<plan::Plan>(std::move(plan)) : std::make_shared<plan::Plan>(*plan);
  PlacedSums ignored, &done = placed != nullptr ? *placed : ignored;
  for (std::size_t block = 0; block < changed->blocks.size(); ++block) {
    auto& commands = changed->blocks[block].commands;
    for (std::size_t c = 0; c < commands.size(); ++c) {
      for (const bool is_output : {false, true}) {
        auto& operands = is_output ? commands[c].outputs : commands[c].inputs;
        for (std::size_t i = 0; i < operands.size(); ++i) {
          const BufferId to = first_home(operands[i].buffer);
          if (to != operands[i].buffer) done.homes.push_back({static_cast<int>(block), c, is_output, i, std::exchange(operands[i].buffer, to)});
        }
      }
    }
  }
  const auto set_life = [&](BufferId id, std::int32_t first, std::int32_t last) {
    auto& buffer = changed->buffers[static_cast<std::size_t>(id)];
    done.lives.push_back({id, std::exchange(buffer.first, first), std::exchange(buffer.last, last)});
  };
  for (BufferId id = 0; id < static_cast<BufferId>(home.size()); ++id) {
    if (home[static_cast<std::size_t>(id)] < 0) continue;
    const BufferId whole = first_home(id);
    const auto &sum = changed->buffers[static_cast<std::size_t>(id)], &at = changed->buffers[static_cast<std::size_t>(whole)];
    set_life(whole, at.first, std::max(at.last, sum.last));
    set_life(id, -1, -1);
  }
  return changed;
}

}  // namespace reprise::exec
