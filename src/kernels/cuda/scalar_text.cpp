#include "kernels/cuda/scalar_text.h"

#include <fmt/format.h>

#include <bit>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {
namespace {

using core::Instr;
using core::ScalarOp;

bool is_special(ScalarOp op) {
  switch (op) {
    case ScalarOp::erfinv:
    case ScalarOp::lgamma:
    case ScalarOp::digamma:
    case ScalarOp::i0:
    case ScalarOp::i0e:
    case ScalarOp::i1:
    case ScalarOp::i1e:
    case ScalarOp::ndtri:
    case ScalarOp::log_ndtr:
    case ScalarOp::igamma:
    case ScalarOp::igammac:
    case ScalarOp::zeta:
    case ScalarOp::polygamma:
    case ScalarOp::erfcx:
      return true;
    default:
      return false;
  }
}

/// By its bits, so that every value survives.
std::string constant_text(const Instr& instr) {
  if (instr.type == DType::f64) return fmt::format("__longlong_as_double({:#x}ll)", std::bit_cast<std::uint64_t>(instr.imm_real));
  if (is_floating(instr.type)) return fmt::format("__uint_as_float({:#x}u)", std::bit_cast<std::uint32_t>(static_cast<float>(instr.imm_real)));
  return fmt::format("({}){:#x}ull", type_name(instr.type), static_cast<std::uint64_t>(instr.imm_int));
}

}  // namespace

std::string compute_type_name(DType dtype) { return is_floating(dtype) && dtype != DType::f64 ? "f32_t" : type_name(dtype); }

ScalarText emit_scalar_program(const core::ScalarProgram& program, const std::string& prefix, const std::function<std::string(int)>& input,
                               const std::function<std::string(int)>& symbol) {
  ScalarText text;
  const auto value = [&](int index) { return fmt::format("{}{}", prefix, index); };
  const auto expression = [&](const Instr& i) -> std::string {
    switch (i.op) {
      case ScalarOp::input:
        return input(static_cast<int>(i.imm_int));
      case ScalarOp::symbol:
        return fmt::format("convert<{}>({})", compute_type_name(i.type), symbol(static_cast<int>(i.imm_int)));
      case ScalarOp::constant:
        return constant_text(i);
      case ScalarOp::cast:
        return fmt::format("round_to<{}>({})", type_name(i.type), value(i.a));
      case ScalarOp::where:
        return fmt::format("{} ? {} : {}", value(i.a), value(i.b), value(i.c));
      case ScalarOp::bitcast:
        return fmt::format("widen(bit_cast<{}>(convert<{}>({})))", type_name(i.type), type_name(program.code[static_cast<std::size_t>(i.a)].type), value(i.a));
      default:
        break;
    }
    const int operands = core::operand_count(i.op);
    return fmt::format("op_{}({}{}{})", core::name(i.op), value(i.a), operands > 1 ? ", " + value(i.b) : "", operands > 2 ? ", " + value(i.c) : "");
  };
  for (std::size_t v = 0; v < program.code.size(); ++v) {
    const Instr& instr = program.code[v];
    text.special |= is_special(instr.op);
    text.body += fmt::format("  const {} {} = {};\n", compute_type_name(instr.type), value(static_cast<int>(v)), expression(instr));
  }
  for (const int output : program.outputs) text.outputs.push_back(value(output));
  return text;
}

}  // namespace reprise::kernels::cuda
