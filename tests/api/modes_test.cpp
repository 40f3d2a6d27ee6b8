// Runtime modes of programs that PyTorch exported.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "reprise/reprise.h"
#include "reprise/runtime.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using testing_support::TempDir;

Program exported(const std::string& name) { return load_program(std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/" + name + ".pt2"); }

TEST(Modes, TheStrategyIsACompileSettingThatIsSaved) {
  const TempDir folder;
  const auto path = (folder / "convnet.rpz").string();
  const Module module = compile(exported("convnet"), {.cuda_graph_strategy = CudaGraphStrategy::whole_graph_capture});
  module.save(path);
  for (const Module& each : {module, Module::load(path)}) {
    EXPECT_EQ(each.cuda_graph_strategy(), CudaGraphStrategy::whole_graph_capture);
    for (int i = 0; i < 2; ++i) (void)each(std::vector<Tensor>{Tensor::zeros(std::vector<std::int64_t>{2, 3, 16, 16}, DType::f32)});
    EXPECT_EQ(each.stats().native_replays, 2u);
    EXPECT_EQ(each.stats().records, 1u);
  }
  EXPECT_EQ(compile(exported("convnet")).cuda_graph_strategy(), CudaGraphStrategy::disabled);
}

TEST(Modes, ProfilesAreCheckedAgainstTheExportAndSaved) {
  const auto program = exported("dynamic");  // x[1..64, 0..256, 32]
  const auto input = [](std::int64_t min, std::int64_t opt, std::int64_t max) {
    return std::vector<Input>{{.min_shape = {min, 4, 32}, .opt_shape = {opt, 4, 32}, .max_shape = {max, 4, 32}}};
  };
  EXPECT_THROW((void)compile(program, {.profiles = {input(1, 2, 4), input(4, 9, 8)}}), ShapeError) << "opt > max";
  EXPECT_THROW((void)compile(program, {.profiles = {input(1, 2, 4), input(4, 8, 65)}}), ShapeError) << "outside of the exported range";
  EXPECT_THROW((void)compile(program, {.inputs = input(1, 2, 4), .profiles = {input(1, 2, 4)}}), InvalidArgument);
  const TempDir folder;
  const auto path = (folder / "dynamic.rpz").string();
  compile(program, {.profiles = {input(1, 2, 4), input(4, 8, 16)}}).save(path);
  const Module module = Module::load(path);
  ASSERT_EQ(module.profile_count(), 2);
  EXPECT_EQ(module.inputs(1)[0].max, (std::vector<std::int64_t>{16, 4, 32}));
  (void)module(std::vector<Tensor>{Tensor::zeros(std::vector<std::int64_t>{9, 4, 32}, DType::f32)});
  EXPECT_EQ(module.active_profile(), 1);
  const auto fixed = runtime::optimization_profile(module, 0);
  EXPECT_THROW((void)module(std::vector<Tensor>{Tensor::zeros(std::vector<std::int64_t>{9, 4, 32}, DType::f32)}), ShapeError);
}

/// Batches of a module with buckets give the bits of one without; `row`: an input's sizes behind the batch.
void check_buckets(const Program& program, const std::vector<std::int64_t>& row, bool independent) {
  const Module plain = compile(program), module = compile(program);
  const auto graphs = runtime::enable_cudagraphs(module, {.buckets = {2, 4}});
  for (const std::int64_t n : {1, 3, 2, 4}) {
    std::vector<std::int64_t> sizes{n};
    sizes.insert(sizes.end(), row.begin(), row.end());
    Tensor x = Tensor::empty(sizes, DType::f32);
    for (std::int64_t i = 0; i < x.numel(); ++i) x.data_as<float>()[i] = static_cast<float>(i % 251) / 125 - 1;
    const auto want = std::get<Tensor>(plain(std::vector<Tensor>{x})[0]), got = std::get<Tensor>(module(std::vector<Tensor>{x})[0]);
    ASSERT_EQ(got.sizes(), want.sizes());
    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.nbytes()), 0) << n;
  }
  EXPECT_EQ(module.stats().bucketed_calls, independent ? 2u : 0u) << (module.stats().unbucketed_by.empty() ? "" : module.stats().unbucketed_by[0].reason);
  EXPECT_EQ(module.stats().records, independent ? 2u : 4u);
}

TEST(Modes, BucketsGiveTheBitsOfTheExactBatch) {
  check_buckets(exported("dynamic"), {4, 32}, false);  // one of its results is made of the size of the batch
  // Models that are made where PyTorch is.
  const std::string resnet18 = std::string(REPRISE_TEST_MODELS) + "/made/resnet18_dynamic.pt2";
  if (std::filesystem::exists(resnet18)) check_buckets(load_program(resnet18), {3, 224, 224}, true);
}

}  // namespace
}  // namespace reprise
