#include "support/plan_maker.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/check.h"
#include "kernels/foreign.h"
#include "tensor/strided_copy.h"

namespace reprise::test {
namespace {

using kernels::OperandRef;
using plan::BufferKind;

std::atomic<int> g_steps_made = 0;

plan::Operand whole(const Ref& ref) { return {ref.buffer, ref.dtype, ref.sizes, sym::contiguous_strides(ref.sizes), 0}; }

sym::Expr bytes_of(const sym::Shape& sizes, DType dtype) { return sym::product(sizes) * static_cast<std::int64_t>(item_size(dtype)); }

class ToyStep final : public device::Step {
 public:
  explicit ToyStep(const kernels::StepSpec& spec)
      : op_(spec.op), inputs_(spec.inputs.begin(), spec.inputs.end()), outputs_(spec.outputs.begin(), spec.outputs.end()), name_(spec.name) {
    if (op_ == core::Op::fill) value_ = spec.attrs->number("value").as_real();
    if (op_ == core::Op::pointwise) {
      function_ = spec.attrs->text("toy");
      if (spec.attrs->has("scale")) scale_ = spec.attrs->real("scale");
      if (spec.attrs->has("value")) value_ = spec.attrs->real("value");
      if (spec.attrs->has("scratch")) scratch_ = static_cast<std::size_t>(spec.attrs->integer("scratch"));
    }
  }

  [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_; }

  void run(void* const* bindings) const override {
    if (scratch_ > 0) std::memset(bindings[scratch_slot()], 0xee, scratch_);
    if (op_ == core::Op::copy) {
      tensor::strided_copy(outputs_[0].at(bindings), strides(outputs_[0]), inputs_[0].at(bindings), strides(inputs_[0]), outputs_[0].shape(),
                           item_size(outputs_[0].dtype));
    } else if (op_ == core::Op::fill) {
      for (std::int64_t i = 0; i < outputs_[0].numel(); ++i) output(bindings)[i] = static_cast<float>(value_);
    } else if (op_ == core::Op::nonzero) {
      nonzero(bindings);
    } else {
      pointwise(bindings);
    }
  }

 private:
  static std::span<const std::int64_t> strides(const OperandRef& ref) { return {ref.strides.data(), static_cast<std::size_t>(ref.rank)}; }
  const float* input(void* const* bindings, std::size_t i = 0) const { return reinterpret_cast<const float*>(inputs_[i].at(bindings)); }
  float* output(void* const* bindings) const { return reinterpret_cast<float*>(outputs_[0].at(bindings)); }

  void nonzero(void* const* bindings) const {
    auto* positions = reinterpret_cast<std::int64_t*>(outputs_[0].at(bindings));
    auto* count = reinterpret_cast<std::int64_t*>(outputs_[1].at(bindings));
    *count = 0;
    for (std::int64_t i = 0; i < inputs_[0].numel(); ++i) {
      if (input(bindings)[i] == 0) continue;
      REPRISE_CHECK(*count < outputs_[0].sizes[0], ShapeError, "[toy/nonzero] no room");
      positions[(*count)++] = i;
    }
  }

  void pointwise(void* const* bindings) const {
    if (function_ == "positive") {
      REPRISE_CHECK(input(bindings)[0] >= 0, InvalidArgument, "[toy/positive] '{}' met a negative number", name_);
      return;
    }
    if (function_ == "less") {
      *reinterpret_cast<bool*>(outputs_[0].at(bindings)) = input(bindings)[0] < value_;
      return;
    }
    for (std::int64_t i = 0; i < outputs_[0].numel(); ++i) {
      const double x = input(bindings)[i];
      output(bindings)[i] = static_cast<float>(function_ == "sum" ? x + input(bindings, 1)[i] : x * scale_ + value_);
    }
  }

  core::Op op_;
  std::vector<OperandRef> inputs_, outputs_;
  std::string name_, function_;
  double scale_ = 1, value_ = 0;
  std::size_t scratch_ = 0;
};

}  // namespace

int steps_made() { return g_steps_made.load(); }

std::unique_ptr<device::Step> make_toy_step(const kernels::StepSpec& spec) {
  ++g_steps_made;
  if (spec.op == core::Op::foreign) return kernels::make_host_foreign_step(spec);
  return std::make_unique<ToyStep>(spec);
}

PlanMaker::PlanMaker() {
  plan.producer = "test";
  plan.settings.threads = 1;
  plan.blocks.emplace_back();
  plan.segments.emplace_back();
}

sym::Expr PlanMaker::symbol(const std::string& name, std::int64_t min, std::int64_t max, bool unbacked) {
  plan.symbols.add({name, {min, max}, unbacked, min});
  return sym::Expr::symbol(name);
}

plan::BufferId PlanMaker::buffer(BufferKind kind, int index, const std::string& name, const sym::Expr& bytes) {
  plan::Buffer made;
  made.kind = kind;
  made.index = index;
  made.name = name;
  made.size_bytes = bytes;
  plan.buffers.push_back(std::move(made));
  return static_cast<plan::BufferId>(plan.buffers.size()) - 1;
}

Ref PlanMaker::input(const std::string& name, const sym::Shape& sizes, DType dtype, bool mutated) {
  plan::InputSpec spec;
  spec.name = name;
  spec.dtype = dtype;
  spec.sizes = sizes;
  spec.mutated = mutated;
  plan.inputs.push_back(spec);
  return {buffer(BufferKind::input, static_cast<int>(plan.inputs.size()) - 1, name, bytes_of(sizes, dtype)), dtype, sizes};
}

void PlanMaker::integer_input(const std::string& name, const sym::Expr& value) {
  plan::InputSpec spec;
  spec.kind = plan::InputSpec::Kind::integer;
  spec.name = name;
  spec.dtype = DType::i64;
  spec.value = value;
  plan.inputs.push_back(spec);
}

Ref PlanMaker::integer_buffer(int input) { return {buffer(BufferKind::input, input, "integer", 8), DType::i64, {}}; }

void PlanMaker::constant_input(const std::string& name, plan::ConstantValue value) {
  plan::InputSpec spec;
  spec.kind = plan::InputSpec::Kind::constant;
  spec.name = name;
  spec.constant = std::move(value);
  plan.inputs.push_back(spec);
}

Ref PlanMaker::output(const std::string& name, const sym::Shape& sizes, DType dtype, std::optional<sym::Expr> bound) {
  plan::OutputSpec spec;
  spec.name = name;
  spec.dtype = dtype;
  spec.sizes = sizes;
  plan.outputs.push_back(spec);
  return {buffer(BufferKind::output, static_cast<int>(plan.outputs.size()) - 1, name, bound.value_or(bytes_of(sizes, dtype))), dtype, sizes};
}

void PlanMaker::number_output(plan::OutputSpec::Kind kind, const sym::Expr& value) {
  plan::OutputSpec spec;
  spec.kind = kind;
  spec.value = value;
  spec.text = "text";
  plan.outputs.push_back(spec);
}

Ref PlanMaker::temp(const sym::Shape& sizes, DType dtype) { return {buffer(BufferKind::temp, -1, "temp", bytes_of(sizes, dtype)), dtype, sizes}; }

Ref PlanMaker::dynamic_temp(const sym::Shape& sizes, DType dtype) {
  const Ref ref = temp(sizes, dtype);
  plan.buffers.back().dynamic = true;
  return ref;
}

Ref PlanMaker::weight(const std::string& name, const std::vector<float>& values) {
  const std::int64_t sizes[] = {static_cast<std::int64_t>(values.size())};
  Tensor data = Tensor::empty(sizes, DType::f32);
  std::copy(values.begin(), values.end(), data.data_as<float>());
  plan.weights.push_back({name, data});
  return {buffer(BufferKind::weight, static_cast<int>(plan.weights.size()) - 1, name, sizes[0] * 4), DType::f32, {sizes[0]}};
}

Ref PlanMaker::state(const std::string& name, const std::vector<float>& values) {
  const std::int64_t sizes[] = {static_cast<std::int64_t>(values.size())};
  Tensor data = Tensor::empty(sizes, DType::f32);
  std::copy(values.begin(), values.end(), data.data_as<float>());
  plan.states.push_back({name, data});
  return {buffer(BufferKind::state, static_cast<int>(plan.states.size()) - 1, name, sizes[0] * 4), DType::f32, {sizes[0]}};
}

int PlanMaker::block() {
  plan.blocks.emplace_back();
  return static_cast<int>(plan.blocks.size()) - 1;
}

plan::Command& PlanMaker::add(core::Op op, const std::vector<Ref>& inputs, const std::vector<Ref>& outputs, core::Attrs attrs, int block) {
  plan::Command command;
  command.op = op;
  command.attrs = std::move(attrs);
  command.name = std::string(core::name(op));
  for (const auto& ref : inputs) command.inputs.push_back(whole(ref));
  for (const auto& ref : outputs) command.outputs.push_back(whole(ref));
  auto& commands = plan.blocks[static_cast<std::size_t>(block)].commands;
  commands.push_back(std::move(command));
  return commands.back();
}

void PlanMaker::affine(const Ref& x, const Ref& y, double scale, double shift, int block) {
  add(core::Op::pointwise, {x}, {y}, {{"toy", std::string("affine")}, {"scale", scale}, {"value", shift}}, block);
}

void PlanMaker::sum(const Ref& a, const Ref& b, const Ref& y, int block) { add(core::Op::pointwise, {a, b}, {y}, {{"toy", std::string("sum")}}, block); }

void PlanMaker::less(const Ref& x, const Ref& y, double limit, int block) {
  add(core::Op::pointwise, {x}, {y}, {{"toy", std::string("less")}, {"value", limit}}, block);
}

void PlanMaker::demand_positive(const Ref& x, int block) { add(core::Op::pointwise, {x}, {}, {{"toy", std::string("positive")}}, block); }

plan::Command& PlanMaker::foreign(const std::string& kernel, const std::vector<std::pair<std::string, Ref>>& parameters, const std::vector<Ref>& outputs,
                                  core::Attrs attrs, const std::vector<std::int64_t>& mutates) {
  std::vector<Ref> inputs, results = outputs;
  attrs.set("name", kernel);
  for (const auto& [name, ref] : parameters) {
    attrs.set("in." + name, core::exprs({std::ssize(inputs), 1}));
    inputs.push_back(ref);
  }
  for (const auto index : mutates) results.push_back(inputs[static_cast<std::size_t>(index)]);
  if (!mutates.empty()) attrs.set("mutates", core::exprs(mutates));
  return add(core::Op::foreign, inputs, results, std::move(attrs));
}

void PlanMaker::nonzero(const Ref& x, const Ref& y, const Ref& count, const std::string& symbol, int block) {
  add(core::Op::nonzero, {x}, {y, count}, {}, block).defines = {{plan.symbols.find(symbol), 1, 0}};
}

void PlanMaker::item(const Ref& x, const std::string& symbol, int block) {
  add(core::Op::item, {x}, {}, {}, block).defines = {{plan.symbols.find(symbol), -1, 0}};
}

void PlanMaker::cond(const Ref& pred, const std::vector<Ref>& outputs, int then_block, int else_block, int block) {
  add(core::Op::cond, {pred}, outputs, {}, block).blocks = {then_block, else_block};
}

void PlanMaker::loop(const Ref& pred, const std::vector<Ref>& carried, int condition_block, int body_block, int block) {
  add(core::Op::while_loop, {pred}, carried, {}, block).blocks = {condition_block, body_block};
}

void PlanMaker::number(int block, int& position) {
  for (auto& command : plan.blocks[static_cast<std::size_t>(block)].commands) {
    command.position = position++;
    for (const int inner : command.blocks) number(inner, position);
  }
}

plan::PlanPtr PlanMaker::finish() {
  int position = 0;
  number(0, position);
  for (auto& buffer : plan.buffers)
    if (buffer.kind == BufferKind::temp) buffer.first = buffer.last = -1;
  const bool nested = plan.blocks.size() > 1;
  for (const auto& block : plan.blocks)
    for (const auto& command : block.commands)
      for (const auto* operands : {&command.inputs, &command.outputs})
        for (const auto& operand : *operands) {
          auto& buffer = plan.buffers[static_cast<std::size_t>(operand.buffer)];
          if (buffer.kind != BufferKind::temp) continue;
          buffer.first = nested ? 0 : buffer.first < 0 ? command.position : std::min(buffer.first, command.position);
          buffer.last = nested ? position : std::max(buffer.last, command.position);
        }
  if (plan.profiles.empty()) {
    plan::Profile profile;
    for (const auto& info : plan.symbols.all()) {
      profile.min.push_back(info.range.min);
      profile.opt.push_back(info.range.min);
      profile.max.push_back(info.range.max);
    }
    plan.profiles.push_back(profile);
  }
  return std::make_shared<plan::Plan>(plan);
}

}  // namespace reprise::test
