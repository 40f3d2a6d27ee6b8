#include "core/scalar_program.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::core {
namespace {

using testing_support::message_of;

/// (in0 + s0) * 0.5, and whether in0 > s0.
ScalarProgram sample() {
  ScalarProgram p;
  p.inputs = {DType::f32};
  p.symbols = {sym::Expr::symbol("s0") + 1};
  p.code = {{.op = ScalarOp::input},
            {.op = ScalarOp::symbol},
            {.op = ScalarOp::add, .a = 0, .b = 1},
            {.op = ScalarOp::constant, .imm_real = 0.5},
            {.op = ScalarOp::mul, .a = 2, .b = 3},
            {.op = ScalarOp::gt, .type = DType::boolean, .a = 0, .b = 1},
            {.op = ScalarOp::cast, .type = DType::i8, .a = 5},
            {.op = ScalarOp::where, .type = DType::f32, .a = 5, .b = 4, .c = 0}};
  p.outputs = {4, 6, 7};
  return p;
}

TEST(ScalarProgram, Verifies) { EXPECT_NO_THROW(sample().verify()); }

TEST(ScalarProgram, Prints) {
  EXPECT_EQ(sample().str(), "t4 = mul(add(in0, s0 + 1), 0.5); t5 = gt(in0, s0 + 1); out0 = t4; out1 = i8(t5); out2 = where(t5, t4, in0)");
}

/// Text stays as long as the code where values are shared, and does not recurse along a chain.
TEST(ScalarProgram, PrintsDeepAndSharedCode) {
  ScalarProgram p{.inputs = {DType::f32}, .symbols = {}, .code = {{.op = ScalarOp::input}}, .outputs = {}};
  for (int i = 0; i < 60000; ++i) p.code.push_back({.op = i % 2 ? ScalarOp::neg : ScalarOp::mul, .a = i, .b = i});
  p.outputs = {60000};
  p.verify();
  EXPECT_LT(p.str().size(), 60000u * 40);
}

TEST(ScalarProgram, RefusesNamingTheInstruction) {
  const auto refused = [](const std::function<void(ScalarProgram&)>& change) {
    ScalarProgram p = sample();
    change(p);
    const std::string message = message_of<FormatError>([&] { p.verify(); });
    EXPECT_NE(message.find("[core/scalar]"), std::string::npos) << message;
    return message;
  };
  EXPECT_NE(refused([](auto& p) { p.code[2].b = 2; }).find("instruction 2"), std::string::npos);
  refused([](auto& p) { p.code[2].b = -1; });
  refused([](auto& p) { p.code[2].a = 1 << 30; });
  refused([](auto& p) { p.code[0].imm_int = 1; });
  refused([](auto& p) { p.code[0].imm_int = -1; });
  refused([](auto& p) { p.code[1].imm_int = INT64_MAX; });
  refused([](auto& p) { p.code[0].type = DType::f64; });
  refused([](auto& p) { p.inputs[0] = DType::f64; });
  refused([](auto& p) { p.code[4].type = DType::f64; });
  refused([](auto& p) { p.code[5].type = DType::f32; });
  refused([](auto& p) { p.code[6].a = 6; });
  refused([](auto& p) { p.code[7].a = 4; });
  refused([](auto& p) { p.code[7].c = 6; });
  refused([](auto& p) { p.code[2].op = ScalarOp::bit_and; });
  refused([](auto& p) { p.code[2].op = ScalarOp::logical_and; });
  refused([](auto& p) { p.code[2].op = static_cast<ScalarOp>(250); });
  refused([](auto& p) { p.code[2].type = static_cast<DType>(13); });
  refused([](auto& p) { p.inputs.push_back(static_cast<DType>(200)); });
  refused([](auto& p) { p.outputs.push_back(8); });
  refused([](auto& p) { p.outputs.push_back(-1); });
  refused([](auto& p) { p.code.resize((1u << 16) + 1); });
}

TEST(ScalarProgram, DomainsOfTypes) {
  const auto unary = [](ScalarOp op, DType type) {
    ScalarProgram p{.inputs = {type}, .symbols = {}, .code = {{.op = ScalarOp::input, .type = type}, {.op = op, .type = type, .a = 0}}, .outputs = {1}};
    p.verify();
  };
  EXPECT_NO_THROW(unary(ScalarOp::neg, DType::i32));
  EXPECT_NO_THROW(unary(ScalarOp::exp, DType::bf16));
  EXPECT_NO_THROW(unary(ScalarOp::bit_not, DType::boolean));
  EXPECT_NO_THROW(unary(ScalarOp::logical_not, DType::boolean));
  EXPECT_THROW(unary(ScalarOp::exp, DType::i32), FormatError);
  EXPECT_THROW(unary(ScalarOp::neg, DType::boolean), FormatError);
  EXPECT_THROW(unary(ScalarOp::bit_not, DType::f32), FormatError);
  EXPECT_THROW(unary(ScalarOp::logical_not, DType::i32), FormatError);
}

TEST(ScalarProgram, BitcastKeepsTheSize) {
  const auto bitcast = [](DType from, DType to) {
    ScalarProgram{
        .inputs = {from}, .symbols = {}, .code = {{.op = ScalarOp::input, .type = from}, {.op = ScalarOp::bitcast, .type = to, .a = 0}}, .outputs = {1}}
        .verify();
  };
  EXPECT_NO_THROW(bitcast(DType::f32, DType::i32));
  EXPECT_NO_THROW(bitcast(DType::bf16, DType::i16));
  EXPECT_THROW(bitcast(DType::f32, DType::f64), FormatError);
}

TEST(ScalarProgram, EveryOperationHasANameOfItsOwn) {
  std::set<std::string_view> names;
  int known = 0;
  for (int i = 0; i < 256; ++i) {
    const auto op = static_cast<ScalarOp>(i);
    try {
      EXPECT_TRUE(names.insert(name(op)).second) << name(op);
      EXPECT_LE(operand_count(op), 3);
      ++known;
    } catch (const FormatError&) {
    }
  }
  EXPECT_EQ(known, 92);
}

}  // namespace
}  // namespace reprise::core
