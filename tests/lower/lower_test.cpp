// Plans of real programs: what is computed in place, what is copied, what lives where.
#include "lower/lower.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/compiler/build.h"
#include "import/pt2/load.h"
#include "lower/profiles.h"
#include "lower/signature.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::lower {
namespace {

using core::Op;

ir::Program program(const std::string& file, const std::string& folder = "generations/torch-2.13.0/") {
  return import::load_pt2(std::string(REPRISE_TEST_MODELS) + "/" + folder + file);
}
plan::Plan plan_of(const std::string& file, const CompileOptions& options = {}) { return api::build_plan(program(file), options); }

std::vector<plan::Command> commands_of(const plan::Plan& plan, Op op) {
  std::vector<plan::Command> found;
  for (const auto& block : plan.blocks)
    std::copy_if(block.commands.begin(), block.commands.end(), std::back_inserter(found), [&](const auto& c) { return c.op == op; });
  return found;
}

class State : public testing::TestWithParam<const char*> {};

TEST_P(State, CacheUpdateCopiesNothing) {
  const auto plan = plan_of(GetParam());
  const auto puts = commands_of(plan, Op::index_put);
  ASSERT_EQ(puts.size(), 1u);
  EXPECT_EQ(puts[0].inputs[0].buffer, puts[0].outputs[0].buffer);
  EXPECT_EQ(plan.buffers[static_cast<std::size_t>(puts[0].outputs[0].buffer)].kind, plan::BufferKind::state);
  EXPECT_TRUE(commands_of(plan, Op::copy).empty());
}
INSTANTIATE_TEST_SUITE_P(BothForms, State, testing::Values("state.pt2", "state.core.pt2"));

TEST(Lower, BatchNormIsFoldedAndActivationsFollowInside) {
  const auto plan = plan_of("convnet.pt2");
  EXPECT_TRUE(commands_of(plan, Op::norm).empty());
  ASSERT_EQ(commands_of(plan, Op::conv).size(), 2u);
  EXPECT_TRUE(commands_of(plan, Op::pointwise).empty());  // relu, silu
  for (const auto& conv : commands_of(plan, Op::conv)) EXPECT_TRUE(conv.attrs.has("epilogue"));
}

TEST(Lower, FallbackStaysUnfusedInASegmentOfItsOwn) {
  const auto plan = plan_of("convnet.pt2", {.fallback_ops = {"torch.ops.aten.silu"}});
  ASSERT_EQ(plan.segments.size(), 3u);
  EXPECT_FALSE(plan.segments[1].engine);
  EXPECT_NE(plan.segments[1].reason.find("fallback_ops"), std::string::npos);
}

TEST(Lower, ResultsAreComputedInTheOutputsOwnMemory) {
  const auto plan = plan_of("dynamic.core.pt2");
  const auto outputs = std::count_if(plan.buffers.begin(), plan.buffers.end(), [](const auto& b) { return b.kind == plan::BufferKind::output; });
  EXPECT_EQ(outputs, 1);
  for (const auto& c : commands_of(plan, Op::copy)) {
    EXPECT_NE(plan.buffers[static_cast<std::size_t>(c.outputs[0].buffer)].kind, plan::BufferKind::output);
  }
}

TEST(Lower, TiedWeightsAreOne) {
  const auto plan = plan_of("shared.pt2");
  std::vector<const void*> seen;
  for (const auto& w : plan.weights) seen.push_back(w.data.data());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

// The loop command names the predicate, which its first block writes: it must be there from the loop's own position to the loop's end.
TEST(Lower, PredicateOfALoopLivesAsLongAsTheLoop) {
  for (const char* file : {"while_loops.pt2", "while_loops.core.pt2"}) {
    const auto plan = api::build_plan(program(file, "ops/"), {});
    const auto loops = commands_of(plan, Op::while_loop);
    ASSERT_EQ(loops.size(), 1u);
    const auto& predicate = plan.buffers[static_cast<std::size_t>(loops[0].inputs.at(0).buffer)];
    EXPECT_LE(predicate.first, loops[0].position);
    EXPECT_EQ(predicate.last, plan.blocks[static_cast<std::size_t>(loops[0].blocks[1])].commands.back().position);
    EXPECT_NO_THROW(plan::verify(plan));
  }
}

// ---- profiles ---------------------------------------------------------------------------------------------------------------------------

plan::Profile profile(const Input& input) {
  const auto plan = plan_of("dynamic.pt2");
  return make_profile({input}, plan.inputs, plan.symbols);
}
std::string refusal(const Input& input) {
  return testing_support::message_of<InvalidArgument>([&] { profile(input); });
}

TEST(Profiles, BoundsOfSymbolsComeFromShapes) {
  const auto p = profile({.min_shape = {1, 2, 32}, .opt_shape = {4, 8, 32}, .max_shape = {16, 64, 32}, .name = "x"});
  EXPECT_EQ(p.min, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(p.opt, (std::vector<std::int64_t>{4, 8}));
  EXPECT_EQ(p.max, (std::vector<std::int64_t>{16, 64}));
}

TEST(Profiles, WithoutShapesTheExportedRangeHolds) {
  const auto p = profile({});
  EXPECT_EQ(p.min, (std::vector<std::int64_t>{1, 0}));  // tracing writes 2 for any dynamic size
  EXPECT_EQ(p.max, (std::vector<std::int64_t>{64, 256}));
}

TEST(Profiles, RefusalsNameInputAndDimension) {
  EXPECT_NE(refusal({.min_shape = {1, 2, 32}, .opt_shape = {32, 8, 32}, .max_shape = {16, 64, 32}})
                .find("input 'x' dimension 0 needs min <= opt <= max (got 1, 32, 16)"),
            std::string::npos);
  EXPECT_NE(refusal({.opt_shape = {65, 8, 32}}).find("dimension 0 (s77) lies outside the exported range (got 65..65, want 1..64)"), std::string::npos);
  EXPECT_NE(refusal({.opt_shape = {2, 8, 33}}).find("dimension 2 is static (got 33..33, want 32)"), std::string::npos);
  EXPECT_NE(refusal({.opt_shape = {2, 8}}).find("another rank (got 2, want 3)"), std::string::npos);
  EXPECT_NE(refusal({.opt_shape = {2, 8, 32}, .name = "y"}).find("no input is named 'y'"), std::string::npos);
  EXPECT_NE(refusal({.dtype = DType::i64, .name = "x"}).find("another dtype (got i64, want f32)"), std::string::npos);
}

TEST(Profiles, CallsOutsideAreRefused) {
  const Program dynamic = load_program(std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/dynamic.pt2");
  const auto module = compile(dynamic, {.inputs = {{.min_shape = {1, 2, 32}, .opt_shape = {2, 8, 32}, .max_shape = {4, 16, 32}}}});
  const auto x = Tensor::zeros(std::vector<std::int64_t>{5, 8, 32}, DType::f32);
  const auto message = testing_support::message_of<ShapeError>([&] { module(std::vector<Tensor>{x}); });
  EXPECT_NE(message.find("'x'"), std::string::npos) << message;
  EXPECT_NE(message.find('5'), std::string::npos) << message;
}

}  // namespace
}  // namespace reprise::lower
