// A module through its file and back, with the kernels that users get.
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;

/// total += x; y = total * w, over two elements.
plan::PlanPtr counter() {
  const auto binary = [](ScalarOp op) {
    core::ScalarProgram program;
    program.inputs = {DType::f32, DType::f32};
    program.code = {Instr{.op = ScalarOp::input, .imm_int = 0}, Instr{.op = ScalarOp::input, .imm_int = 1}, Instr{.op = op, .a = 0, .b = 1}};
    program.outputs = {2};
    return core::Attrs{{"program", std::make_shared<const core::ScalarProgram>(program)}};
  };
  PlanMaker m;
  const Ref x = m.input("x", {2}), total = m.state("total", {100, 200}), w = m.weight("w", {2, 3}), y = m.output("y", {2});
  m.add(core::Op::pointwise, {total, x}, {total}, binary(ScalarOp::add));
  m.add(core::Op::pointwise, {total, w}, {y}, binary(ScalarOp::mul));
  return m.finish();
}

TEST(SaveLoad, ALoadedModuleDoesWhatTheSavedOneDoes) {
  const auto path = (std::filesystem::temp_directory_path() / "reprise_save_load_test.rpz").string();
  const Module module = runtime::make_module(counter());
  EXPECT_EQ(values(call(module, {floats({1, 2})})[0]), (std::vector<float>{202, 606}));
  module.save(path);  // the initial state, not the current one
  const Module loaded = Module::load(path);
  std::filesystem::remove(path);  // the mapping stays
  EXPECT_EQ(values(call(loaded, {floats({1, 2})})[0]), (std::vector<float>{202, 606}));
  EXPECT_EQ(values(call(loaded, {floats({1, 2})})[0]), (std::vector<float>{204, 612}));
  EXPECT_EQ(loaded.inputs().at(0).name, "x");
  EXPECT_EQ(loaded.state_names(), std::vector<std::string>{"total"});
}

TEST(SaveLoad, NamesTheFileThatIsNotThere) {
  const auto message = message_of<FormatError>([] { (void)Module::load("/nowhere/model.rpz"); });
  EXPECT_NE(message.find("/nowhere/model.rpz"), std::string::npos) << message;
  const Module module = runtime::make_module(counter());
  const auto refused = message_of<WriteError>([&] { module.save("/nowhere/model.rpz"); });
  EXPECT_NE(refused.find("/nowhere/model.rpz"), std::string::npos) << refused;
}

}  // namespace
}  // namespace reprise::test
