#include "lower/lowering.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::lower {

using core::Op;
using ir::ValueKind;
using plan::BufferKind;

Lowering::Lowering(const ir::Graph& graph, plan::Plan& plan, std::vector<int> input_entry)
    : graph_(graph),
      plan_(plan),
      input_entry_(std::move(input_entry)),
      uses_(graph),
      placement_(graph, uses_),
      bounds_(graph),
      output_buffers_(graph.results.size(), -1) {}

void Lowering::run() {
  weights_and_states();
  const int main = new_block();
  emit_region(graph_.body, main);
  emit_results();
  emit_final_states();
}

void Lowering::weights_and_states() {
  for (const auto& state : graph_.states) {
    if (state.input < 0) plan_.states.push_back({state.name, state.initial.contiguous()});
  }
}

int Lowering::new_block() {
  plan_.blocks.emplace_back();
  return static_cast<int>(plan_.blocks.size()) - 1;
}

// ---- buffers ----------------------------------------------------------------------------------------------------------------------------

plan::BufferId Lowering::new_buffer(BufferKind kind, int index, std::string name, DType dtype, const sym::Shape& sizes) {
  plan::Buffer buffer;
  buffer.kind = kind;
  buffer.index = index;
  buffer.name = std::move(name);
  const auto bytes = sym::product(sizes) * sym::Expr(static_cast<std::int64_t>(item_size(dtype)));
  const auto bound = bounds_.bound(bytes);
  buffer.size_bytes = bound.value_or(bytes);
  buffer.dynamic = !bound.has_value();
  plan_.buffers.push_back(std::move(buffer));
  return static_cast<plan::BufferId>(plan_.buffers.size()) - 1;
}

plan::BufferId Lowering::source_buffer(ir::ValueId root) {
  const auto& value = graph_.at(root);
  if (value.kind == ValueKind::input)
    return new_buffer(BufferKind::input, input_entry_.at(static_cast<std::size_t>(value.index)), value.name, value.dtype, value.sizes);
  const auto& constant = graph_.constants.at(static_cast<std::size_t>(value.index));
  const auto [it, added] = weight_buffers_.try_emplace(value.index, -1);
  if (added) {
    plan_.weights.push_back({constant.name, constant.data.contiguous()});
    it->second = new_buffer(BufferKind::weight, static_cast<int>(plan_.weights.size()) - 1, constant.name, value.dtype, value.sizes);
  }
  return it->second;
}

plan::BufferId Lowering::buffer_of(ir::ValueId root) {
  const auto group = placement_.group(root);
  if (const auto it = buffers_.find(group); it != buffers_.end()) return it->second;
  const auto anchor = placement_.anchor(root);
  const auto& value = graph_.at(group);
  plan::BufferId id = -1;
  switch (anchor.kind) {
    case Anchor::Kind::none:
      id = new_buffer(BufferKind::temp, -1, value.name, value.dtype, value.sizes);
      break;
    case Anchor::Kind::source:
      id = source_buffer(group);
      break;
    case Anchor::Kind::output:
      id = new_buffer(BufferKind::output, anchor.index, value.name, value.dtype, value.sizes);
      output_buffers_[static_cast<std::size_t>(anchor.index)] = id;
      break;
    case Anchor::Kind::state: {
      const auto [it, added] = state_buffers_.try_emplace(anchor.index, -1);
      const auto& state = graph_.states[static_cast<std::size_t>(anchor.index)];
      const auto& first = graph_.root_of(state.value);
      if (added && state.input >= 0)
        it->second = new_buffer(BufferKind::input, input_entry_.at(static_cast<std::size_t>(state.input)), state.name, first.dtype, first.sizes);
      if (added && state.input < 0) {
        // States that are mutated inputs have no entry of their own in the plan's list.
        const auto index = std::count_if(graph_.states.begin(), graph_.states.begin() + anchor.index, [](const auto& s) { return s.input < 0; });
        it->second = new_buffer(BufferKind::state, static_cast<int>(index), state.name, first.dtype, first.sizes);
      }
      id = it->second;
      break;
    }
  }
  buffers_.emplace(group, id);
  return id;
}

plan::Operand Lowering::operand(ir::ValueId id) {
  const auto& value = graph_.at(id);
  return {buffer_of(value.root), value.dtype, value.sizes, value.strides, value.offset};
}

plan::Operand Lowering::whole(plan::BufferId buffer, DType dtype, const sym::Shape& sizes) const {
  return {buffer, dtype, sizes, sym::contiguous_strides(sizes), 0};
}

void Lowering::touch(const plan::Operand& operand, int position) {
  auto& buffer = plan_.buffers[static_cast<std::size_t>(operand.buffer)];
  if (buffer.kind != BufferKind::temp) return;
  buffer.first = buffer.first < 0 ? position : std::min(buffer.first, position);
  buffer.last = std::max(buffer.last, position);
}

void Lowering::keep_through_loop(int first) {
  for (auto& buffer : plan_.buffers) {
    if (buffer.kind == BufferKind::temp && buffer.first >= 0 && buffer.first < first && buffer.last >= first) buffer.last = position_ - 1;
  }
}

// ---- commands ---------------------------------------------------------------------------------------------------------------------------

plan::Command Lowering::command(const ir::Node& node) const {
  plan::Command c;
  c.op = node.op;
  c.attrs = node.attrs;
  c.segment = node.segment;
  c.name = node.name;
  c.trace = node.trace;
  return c;
}

plan::Command& Lowering::push(plan::Command c, int block) {
  c.position = position_++;
  for (const auto& x : c.inputs) touch(x, c.position);
  for (const auto& y : c.outputs) touch(y, c.position);
  auto& commands = plan_.blocks[static_cast<std::size_t>(block)].commands;
  commands.push_back(std::move(c));
  return commands.back();
}

void Lowering::emit_region(const ir::Region& region, int block) {
  for (const auto& node : region.nodes) emit_node(node, block);
}

void Lowering::define_symbols(const ir::Node& node, plan::Command& c) const {
  for (std::size_t i = 0; i < node.defines.size(); ++i) {
    const int symbol = plan_.symbols.find(node.defines[i]);
    REPRISE_CHECK(symbol >= 0, Error, "[lower/{}] node '{}' defines an unknown symbol '{}'", core::name(node.op), node.name, node.defines[i]);
    const bool item = node.op == Op::item;
    c.defines.push_back({symbol, item ? -1 : static_cast<int>(c.outputs.size()) - 1, static_cast<int>(i)});
  }
}

void Lowering::emit_node(const ir::Node& node, int block) {
  REPRISE_CHECK(node.op != Op::write, Error, "[lower/write] node '{}' writes in place: functionalize the graph first", node.name);
  if (node.op == Op::cond) return emit_cond(node, block);
  if (node.op == Op::while_loop) return emit_while(node, block);
  if (node.op == Op::repeat_interleave) return emit_repeat_interleave(node, block);
  if (node.op == Op::foreign) return emit_foreign(node, block);
  auto c = command(node);
  for (const auto x : node.inputs) c.inputs.push_back(operand(x));
  for (const auto y : node.outputs) c.outputs.push_back(operand(y));
  define_symbols(node, c);
  push(std::move(c), block);
}

void Lowering::emit_copy(const plan::Operand& from, const plan::Operand& to, const ir::Node* source, int block) {
  plan::Command c;
  if (source != nullptr) c = command(*source);
  c.op = Op::copy;
  c.attrs = {};
  c.inputs.push_back(from);
  c.outputs.push_back(to);
  push(std::move(c), block);
}

void Lowering::emit_cond(const ir::Node& node, int block) {
  auto c = command(node);
  c.inputs.push_back(operand(node.inputs.at(0)));
  for (const auto y : node.outputs) c.outputs.push_back(operand(y));
  for (std::size_t i = 0; i < node.regions.size(); ++i) c.blocks.push_back(new_block());
  const auto blocks = c.blocks;
  const auto outputs = c.outputs;
  push(std::move(c), block);
  for (std::size_t i = 0; i < node.regions.size(); ++i) {
    const auto& region = node.regions[i];
    emit_region(region, blocks[i]);
    for (std::size_t r = 0; r < region.results.size(); ++r) {
      const auto from = operand(region.results[r]);
      if (from.buffer != outputs[r].buffer) emit_copy(from, outputs[r], &node, blocks[i]);
    }
  }
}

void Lowering::emit_while(const ir::Node& node, int block) {
  std::vector<plan::Operand> carried;
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    carried.push_back(operand(node.outputs[i]));
    for (const auto& region : node.regions) buffers_[placement_.group(region.params.at(i))] = carried.back().buffer;
    emit_copy(operand(node.inputs.at(i)), carried.back(), &node, block);
  }
  auto c = command(node);
  c.outputs = carried;
  c.blocks = {new_block(), new_block()};
  const auto blocks = c.blocks;
  const int at = push(std::move(c), block).position;
  const auto index = plan_.blocks[static_cast<std::size_t>(block)].commands.size() - 1;

  emit_region(node.regions[0], blocks[0]);
  const auto pred = operand(node.regions[0].results.at(0));
  plan_.blocks[static_cast<std::size_t>(block)].commands[index].inputs.push_back(pred);

  emit_region(node.regions[1], blocks[1]);
  const auto& next = node.regions[1].results;
  std::vector<plan::Operand> from;
  for (std::size_t i = 0; i < next.size(); ++i) {
    auto value = operand(next[i]);
    // A next value that reads carried memory is set aside first: another of the copies below could overwrite it.
    const bool reads_carried = std::any_of(carried.begin(), carried.end(), [&](const auto& o) { return o.buffer == value.buffer; });
    const bool stays = value.buffer == carried[i].buffer && graph_.is_whole(next[i]);
    if (reads_carried && !stays) {
      const auto aside = whole(new_buffer(BufferKind::temp, -1, node.name + ".next", value.dtype, value.sizes), value.dtype, value.sizes);
      emit_copy(value, aside, &node, blocks[1]);
      value = aside;
    }
    from.push_back(std::move(value));
  }
  for (std::size_t i = 0; i < next.size(); ++i) {
    if (from[i].buffer != carried[i].buffer) emit_copy(from[i], carried[i], &node, blocks[1]);
  }
  touch(pred, at);
  touch(pred, position_ - 1);
  for (const auto& o : carried) touch(o, position_ - 1);
  keep_through_loop(at);
}

// The sum of the repeats is the result's size: it is read first, so that the result is made with its exact size.
void Lowering::emit_repeat_interleave(const ir::Node& node, int block) {
  auto sum = command(node);
  sum.op = Op::reduce;
  sum.attrs = core::Attrs{{"kind", std::string("sum")}, {"axes", std::vector<sym::Expr>{0}}};
  sum.inputs.push_back(operand(node.inputs.at(0)));
  sum.outputs.push_back(operand(node.outputs.at(1)));
  define_symbols(node, sum);
  push(std::move(sum), block);
  auto c = command(node);
  c.inputs.push_back(operand(node.inputs.at(0)));
  c.outputs.push_back(operand(node.outputs.at(0)));
  push(std::move(c), block);
}

// Users' kernels see row-major tensors, and change them in place: what another order or another owner keeps from it is copied first.
void Lowering::emit_foreign(const ir::Node& node, int block) {
  auto c = command(node);
  for (const auto y : node.outputs) c.outputs.push_back(operand(y));
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    auto x = operand(node.inputs[i]);
    const auto changed =
        std::find_if(node.outputs.begin(), node.outputs.end(), [&](auto y) { return mutated_input(node, y) == static_cast<std::ptrdiff_t>(i); });
    if (changed != node.outputs.end()) {
      const auto& to = c.outputs[static_cast<std::size_t>(changed - node.outputs.begin())];
      if (x.buffer != to.buffer) emit_copy(x, to, &node, block);
      x = to;
    } else if (!graph_.is_contiguous(node.inputs[i])) {
      const auto packed = whole(new_buffer(BufferKind::temp, -1, node.name + ".packed", x.dtype, x.sizes), x.dtype, x.sizes);
      emit_copy(x, packed, &node, block);
      x = packed;
    }
    c.inputs.push_back(std::move(x));
  }
  define_symbols(node, c);
  push(std::move(c), block);
}

void Lowering::emit_results() {
  for (std::size_t r = 0; r < graph_.results.size(); ++r) {
    const auto& result = graph_.results[r];
    if (result.kind != ir::Result::Kind::tensor || output_buffers_[r] >= 0) continue;
    const auto& value = graph_.at(result.value);
    const auto from = operand(result.value);
    if (output_buffers_[r] >= 0) continue;  // `operand` has just made it: a whole root that no node touched before
    output_buffers_[r] = new_buffer(BufferKind::output, static_cast<int>(r), plan_.outputs[r].name, value.dtype, value.sizes);
    emit_copy(from, whole(output_buffers_[r], value.dtype, value.sizes), nullptr, 0);
  }
}

void Lowering::emit_final_states() {
  std::vector<std::pair<plan::Operand, plan::Operand>> copies;
  for (std::size_t s = 0; s < graph_.states.size(); ++s) {
    const auto& state = graph_.states[s];
    const auto start = graph_.at(state.value).root;
    if (state.final == ir::kNoValue || (graph_.at(state.final).root == start && graph_.is_whole(state.final))) continue;
    const auto to_buffer = buffer_of(start);
    auto from = operand(state.final);
    if (from.buffer == to_buffer && graph_.is_whole(state.final)) continue;
    const auto& first = graph_.at(start);
    // Another state's memory may be overwritten by the copies below before it is read: set its value aside.
    const auto kind = plan_.buffers[static_cast<std::size_t>(from.buffer)].kind;
    if (kind == BufferKind::state || kind == BufferKind::input) {
      const auto aside = whole(new_buffer(BufferKind::temp, -1, state.name + ".next", from.dtype, from.sizes), from.dtype, from.sizes);
      emit_copy(from, aside, nullptr, 0);
      from = aside;
    }
    copies.emplace_back(from, whole(to_buffer, first.dtype, graph_.at(state.final).sizes));
  }
  for (const auto& [from, to] : copies) emit_copy(from, to, nullptr, 0);
}

}  // namespace reprise::lower
