// The same six programs as six PyTorch versions saved them, both forms: values, second calls, and the same bits from a saved module.
#include <gtest/gtest.h>

#include "models/comparison.h"
#include "temp_dir.h"

namespace reprise::testing_support {
namespace {

constexpr const char* kVersions[] = {"2.6.0", "2.7.1", "2.8.0", "2.9.1", "2.11.0", "2.13.0"};
constexpr const char* kPrograms[] = {"convnet", "dynamic", "state", "shared", "cond", "data_dependent"};
constexpr double kTolerance = 1e-4;  // a whole f32 model

std::string place(const std::string& version) { return std::string(REPRISE_TEST_MODELS) + "/generations/torch-" + version + "/"; }

class Generations : public testing::TestWithParam<std::tuple<const char*, const char*, const char*>> {};

TEST_P(Generations, AgreesWithPyTorch) {
  const auto [version, program, form] = GetParam();
  const auto folder = place(version);
  const auto module = compile(load_program(folder + program + form + ".pt2"));
  const auto want = load_arrays(folder + program + ".expected.npz");
  const auto arguments = arguments_of(module, load_arrays(folder + program + ".inputs.npz"));
  const auto first = module(arguments);
  const auto kept = first;
  expect_outputs(first, want, "output", kTolerance);
  const auto second = module(arguments);
  if (want.contains("output2_0")) expect_outputs(second, want, "output2", kTolerance);
  expect_outputs(kept, want, "output", kTolerance);  // results of the first call survive the second
}

TEST_P(Generations, SavedModuleGivesTheSameBits) {
  const auto [version, program, form] = GetParam();
  const auto folder = place(version);
  const TempDir temp;
  const auto module = compile(load_program(folder + program + form + ".pt2"));
  const auto path = (temp / "module.rpz").string();
  module.save(path);
  const auto loaded = Module::load(path);
  const auto arguments = arguments_of(module, load_arrays(folder + program + ".inputs.npz"));
  for (int call = 0; call < 2; ++call) {
    const auto a = module(arguments), b = loaded(arguments);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(bit_equal(a[i], b[i])) << "call " << call << " output " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Generations, testing::Combine(testing::ValuesIn(kVersions), testing::ValuesIn(kPrograms), testing::Values("", ".core")),
                         [](const auto& p) {
                           std::string name = std::string("torch_") + std::get<0>(p.param) + "_" + std::get<1>(p.param) +
                                              (std::string(std::get<2>(p.param)).empty() ? "" : "_core");
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(Cond, TakesBothBranches) {
  const auto module = compile(load_program(place("2.13.0") + "cond.pt2"));
  auto x = Tensor::zeros(std::vector<std::int64_t>{4, 3}, DType::f32);
  std::fill_n(x.data_as<float>(), 12, 0.5F);
  EXPECT_NEAR(std::get<Tensor>(module(std::vector<Tensor>{x}).at(0)).data_as<float>()[0], std::sin(0.5F) + 1, 1e-6);
  std::fill_n(x.data_as<float>(), 12, -0.5F);
  EXPECT_NEAR(std::get<Tensor>(module(std::vector<Tensor>{x}).at(0)).data_as<float>()[0], std::cos(-0.5F) * 2, 1e-6);
}

TEST(DataDependent, SizesFollowTheData) {
  const auto module = compile(load_program(place("2.13.0") + "data_dependent.core.pt2"));
  auto x = Tensor::zeros(std::vector<std::int64_t>{6, 5}, DType::f32);
  for (const int count : {0, 3, 30, 1}) {
    std::fill_n(x.data_as<float>(), 30, 0.0F);
    std::fill_n(x.data_as<float>(), count, 0.75F);
    const auto out = module(std::vector<Tensor>{x});
    EXPECT_EQ(std::get<Tensor>(out.at(0)).sizes(), (std::vector<std::int64_t>{count, 2}));
    const auto& selected = std::get<Tensor>(out.at(1));
    ASSERT_EQ(selected.sizes(), (std::vector<std::int64_t>{count}));
    EXPECT_TRUE(std::all_of(selected.data_as<float>(), selected.data_as<float>() + count, [](float v) { return v == 1.5F; }));
  }
}

TEST(Dynamic, RunsAtManySizesFromOneModule) {
  const auto module = compile(load_program(place("2.13.0") + "dynamic.pt2"));
  for (const auto& [batch, seq] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 2}, {64, 3}, {2, 256}, {1, 2}}) {
    const auto x = Tensor::zeros(std::vector<std::int64_t>{batch, seq, 32}, DType::f32);
    const auto out = module(std::vector<Tensor>{x});
    EXPECT_EQ(std::get<Tensor>(out.at(0)).sizes(), (std::vector<std::int64_t>{batch, seq, 32}));
    EXPECT_EQ(std::get<std::int64_t>(out.at(1)), batch * seq);
  }
}

}  // namespace
}  // namespace reprise::testing_support
