// Every message that a caller of a module can meet.
#include <gtest/gtest.h>

#include <optional>

#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using sym::Expr;

class Errors : public testing::Test {
 protected:
  Errors() {
    const Expr s = maker.symbol("s0", 2, 16);
    const Ref in = maker.input("x", {s, 3});
    maker.integer_input("n", maker.symbol("n", 0, 10));
    const Ref b = maker.input("bias", {3}), y = maker.output("y", {s, 3}), z = maker.output("z", {3});
    maker.affine(in, y, 1, 0);
    maker.affine(b, z, 1, 0);
    module.emplace(module_of(maker));
  }

  ~Errors() override {
    // Whatever was wrong, the module is as good as before.
    EXPECT_EQ(values(call(*module, good)[1]), (std::vector<float>{1, 2, 3}));
  }

  static Tensor number(std::int64_t value) {
    Tensor t = Tensor::empty({}, DType::i64);
    *t.data_as<std::int64_t>() = value;
    return t;
  }

  template <class Kind>
  std::string refused(const std::vector<Tensor>& inputs) {
    return message_of<Kind>([&] { (void)call(*module, inputs); });
  }
  template <class Kind>
  std::string refused_with(const std::vector<Argument>& inputs) {
    return message_of<Kind>([&] { (void)call_with(*module, inputs); });
  }
  template <class Kind>
  std::string refused_outputs(const std::vector<Tensor>& outputs) {
    return message_of<Kind>([&] { module->run(good, outputs); });
  }

  PlanMaker maker;
  std::optional<Module> module;
  const Tensor x = Tensor::zeros(std::vector<std::int64_t>{4, 3}, DType::f32), bias = floats({1, 2, 3});
  const std::vector<Tensor> good = {x, number(3), bias};
};

TEST_F(Errors, WrongCount) {
  EXPECT_EQ(refused<InvalidArgument>({x}), "[run/inputs] wrong number of inputs (got 1, want 3: x, n, bias)");
  EXPECT_EQ(refused_with<InvalidArgument>({x, bias, bias, bias}), "[run/inputs] wrong number of inputs (got 4, want 3: x, n, bias)");
  EXPECT_EQ(refused<InvalidArgument>({}), "[run/inputs] wrong number of inputs (got 0, want 3: x, n, bias)");
}

TEST_F(Errors, WrongKind) {
  EXPECT_EQ(refused<InvalidArgument>({Tensor(), number(3), bias}), "[run/inputs] input 'x' is an undefined tensor");
  EXPECT_EQ(refused_with<InvalidArgument>({std::int64_t{3}, std::int64_t{3}, bias}),
            "[run/inputs] input 'x' is of the wrong kind (got an integer, want a tensor)");
  EXPECT_EQ(refused_with<InvalidArgument>({x, 3.0, bias}), "[run/inputs] input 'n' is of the wrong kind (got a real, want an integer)");
  EXPECT_EQ(refused_with<InvalidArgument>({x, std::monostate{}, bias}), "[run/inputs] input 'n' is of the wrong kind (got None, want an integer)");
  EXPECT_EQ(refused<InvalidArgument>({x, bias, bias}), "[run/inputs] input 'n' is an integer (want a number or a 0-d integer tensor on the CPU)");
}

TEST_F(Errors, WrongDtype) {
  EXPECT_EQ(refused<InvalidArgument>({Tensor::zeros(std::vector<std::int64_t>{4, 3}, DType::f64), number(3), bias}),
            "[run/inputs] input 'x' has the wrong dtype (got f64, want f32)");
}

TEST_F(Errors, WrongDevice) {
  EXPECT_EQ(refused<InvalidArgument>({x, number(3), floats({1, 2, 3}, {3}, Device::cpu(1))}),
            "[run/inputs] input 'bias' is on the wrong device (got cpu:1, want cpu:0)");
}

TEST_F(Errors, WrongShape) {
  const auto sized = [](std::vector<std::int64_t> sizes) { return Tensor::zeros(sizes, DType::f32); };
  EXPECT_EQ(refused<ShapeError>({sized({3}), number(3), bias}), "[run/inputs] input 'x' has the wrong rank (got 1, want 2)");
  EXPECT_EQ(refused<ShapeError>({sized({4, 4}), number(3), bias}), "[run/inputs] input 'x' dimension 1 has the wrong size (got 4, want 3)");
  EXPECT_EQ(refused<ShapeError>({sized({17, 3}), number(3), bias}), "[run/inputs] input 'x' dimension 0 is outside the exported range (got 17, want 2..16)");
  EXPECT_EQ(refused<ShapeError>({x, number(11), bias}), "[run/inputs] input 'n' is outside the exported range (got 11, want 0..10)");
}

TEST_F(Errors, WrongOutputs) {
  const Tensor y = Tensor::zeros(std::vector<std::int64_t>{4, 3}, DType::f32), z = floats({0, 0, 0});
  EXPECT_EQ(refused_outputs<InvalidArgument>({y}), "[run/outputs] wrong number of outputs (got 1, want 2)");
  EXPECT_EQ(refused_outputs<InvalidArgument>({y, Tensor()}), "[run/outputs] output 'z' is an undefined tensor");
  EXPECT_EQ(refused_outputs<InvalidArgument>({y, Tensor::zeros(std::vector<std::int64_t>{3}, DType::i32)}),
            "[run/outputs] output 'z' has the wrong dtype (got i32, want f32)");
  EXPECT_EQ(refused_outputs<InvalidArgument>({y, floats({0, 0, 0}, {3}, Device::cpu(1))}),
            "[run/outputs] output 'z' is on the wrong device (got cpu:1, want cpu:0)");
  EXPECT_EQ(refused_outputs<ShapeError>({floats({0, 0, 0}, {1, 3}), z}), "[run/outputs] output 'y' has the wrong sizes (got [1, 3], want [4, 3])");
  const Tensor columns = y.as_strided(std::vector<std::int64_t>{3}, std::vector<std::int64_t>{3});
  EXPECT_EQ(refused_outputs<InvalidArgument>({y, columns}), "[run/outputs] output 'z' must be contiguous and aligned");
  const Tensor row = y.as_strided(std::vector<std::int64_t>{3}, std::vector<std::int64_t>{1}, 3);
  EXPECT_EQ(refused_outputs<InvalidArgument>({y, row}), "[run/outputs] tensor outputs 0 and 1 share memory");
  EXPECT_EQ(message_of<InvalidArgument>([&] { (void)module->output_sizes(good, 2); }), "[run/outputs] there is no tensor output of that index");
}

TEST(ModuleErrors, ProfilesBoundCalls) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 100);
  const Ref x = m.input("x", {s}), y = m.output("y", {s});
  m.affine(x, y, 1, 0);
  m.plan.profiles = {{{1}, {2}, {4}}};
  const Module module = module_of(m);
  EXPECT_EQ(message_of<ShapeError>([&] {
              (void)call(module, {floats({1, 2, 3, 4, 5})});
            }),
            "[run/inputs] input 'x' dimension 0 fits no optimization profile (got 5, want 1..4)");
}

TEST(ModuleErrors, PlansWithoutTheirBuffersAreRefused) {
  PlanMaker m;
  m.output("y", {1});
  m.plan.buffers.clear();
  EXPECT_EQ(message_of<FormatError>([&] { (void)module_of(m); }), "[run/load] output 'y' has no buffer");
}

TEST(ModuleErrors, MemoryThatCannotBeHadIsAnErrorAndNoMore) {
  PlanMaker m;
  const Expr s = m.symbol("s0");
  const Ref x = m.input("x", {s}), t = m.temp({s, std::int64_t{1} << 50}), y = m.output("y", {s});
  m.add(core::Op::fill, {}, {t}, {{"value", 0.0}});
  m.affine(x, y, 2, 0);
  const Module module = module_of(m);
  EXPECT_THROW((void)call(module, {floats({1})}), OutOfMemory);
  EXPECT_EQ(values(call(module, {floats({})})[0]), std::vector<float>{});
}

}  // namespace
}  // namespace reprise::test
