#include "exec/sums_in_place.h"

#include <algorithm>
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

plan::PlanPtr place_sums(plan::PlanPtr plan) {
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
  auto placed = std::make_shared<plan::Plan>(*plan);
  plan::for_each_command(*placed, [&](Command& command) {
    for (auto* operands : {&command.inputs, &command.outputs})
      for (Operand& operand : *operands) operand.buffer = first_home(operand.buffer);
  });
  for (std::size_t id = 0; id < home.size(); ++id) {
    if (home[id] < 0) continue;
    auto &sum = placed->buffers[id], &whole = placed->buffers[static_cast<std::size_t>(first_home(static_cast<BufferId>(id)))];
    whole.last = std::max(whole.last, sum.last);
    sum.first = sum.last = -1;
  }
  return placed;
}

}  // namespace reprise::exec
