// Pointwise nodes: one scalar program over operands that are broadcast by strides of 0.
#include "base/check.h"
#include "ir/builder.h"

namespace reprise::ir {

std::vector<Val> Builder::pointwise(std::span<const Val> inputs, const std::function<void(ScalarBuilder&, std::span<const Sv>)>& body) {
  auto program = std::make_shared<core::ScalarProgram>();
  ScalarBuilder scalars(*program);
  std::vector<Sv> arguments;
  sym::Shape sizes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    sizes = broadcast_shapes(sizes, inputs[i].sizes());
    arguments.push_back(scalars.input(static_cast<int>(i), inputs[i].dtype()));
  }
  body(scalars, arguments);
  REPRISE_CHECK(!program->outputs.empty(), InvalidArgument, "[ir/pointwise] the program has no output");

  std::vector<ValueId> operands;
  for (const Val& x : inputs) operands.push_back(broadcast_to(x, sizes).id());
  std::vector<Val> out;
  for (int id : program->outputs) out.push_back(new_root(program->code[static_cast<std::size_t>(id)].type, sizes));
  append(core::Op::pointwise, std::move(operands), ids(out), {{"program", core::ScalarProgramPtr(std::move(program))}});
  return out;
}

Val Builder::map(std::span<const Val> inputs, const std::function<Sv(ScalarBuilder&, std::span<const Sv>)>& body) {
  return pointwise(inputs, [&](ScalarBuilder& s, std::span<const Sv> in) { s.output(body(s, in)); }).front();
}

Val Builder::map(Val a, const std::function<Sv(ScalarBuilder&, Sv)>& body) {
  return map(std::span(&a, 1), [&](ScalarBuilder& s, std::span<const Sv> in) { return body(s, in[0]); });
}

Val Builder::map(Val a, Val b, const std::function<Sv(ScalarBuilder&, Sv, Sv)>& body) {
  const Val inputs[] = {a, b};
  return map(inputs, [&](ScalarBuilder& s, std::span<const Sv> in) { return body(s, in[0], in[1]); });
}

Val Builder::unary(core::ScalarOp op, Val x) {
  return map(x, [op](ScalarBuilder& s, Sv a) { return s.op(op, a); });
}

Val Builder::binary(core::ScalarOp op, Val a, Val b) {
  return map(a, b, [op](ScalarBuilder& s, Sv x, Sv y) { return s.op(op, x, y); });
}

Val Builder::cast(Val x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return map(x, [dtype](ScalarBuilder& s, Sv a) { return s.cast(a, dtype); });
}

Val Builder::contiguous(Val x) { return graph_->is_contiguous(x.id()) ? x : copy(x); }

Val Builder::copy(Val x) { return emit(core::Op::copy, std::span(&x, 1), x.dtype(), x.sizes(), {}); }

Val Builder::where(Val condition, Val a, Val b) {
  const Val inputs[] = {cast(condition, DType::boolean), a, b};
  return map(inputs, [](ScalarBuilder& s, std::span<const Sv> in) { return s.where(in[0], in[1], in[2]); });
}

}  // namespace reprise::ir
