// Plans for a GPU, run by the reference kernels: what is rewritten for a GPU means the same.
#include <gtest/gtest.h>

#include <filesystem>

#include "api/compiler/build.h"
#include "api/compiler/program_impl.h"
#include "models/comparison.h"
#include "runtime/module_impl.h"

namespace reprise::testing_support {
namespace {

struct Example {
  std::string program, values;  // paths without endings
  bool model;
};

void PrintTo(const Example& example, std::ostream* out) { *out << std::filesystem::path(example.program).filename().string(); }

std::vector<Example> examples() {
  std::vector<Example> found;
  for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(REPRISE_TEST_MODELS) / "ops")) {
    auto path = file.path().string();
    if (!path.ends_with(".pt2")) continue;
    path.resize(path.size() - 4);
    const auto stem = path.ends_with(".core") ? path.substr(0, path.size() - 5) : path;
    if (std::filesystem::exists(stem + ".expected.npz")) found.push_back({path, stem, false});
  }
  const auto folder = std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/";
  for (const auto* name : {"convnet", "dynamic", "state", "shared", "cond", "data_dependent"})
    for (const auto* form : {"", ".core"}) found.push_back({folder + name + form, folder + name, true});
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.program < b.program; });
  return found;
}

class GpuPlans : public testing::TestWithParam<Example> {};

TEST_P(GpuPlans, AgreeWithPyTorch) {
  const auto& [path, stem, model] = GetParam();
  auto plan = api::build_plan(load_program(path + ".pt2").impl().program, {.device = Device::cuda(0)});
  plan.settings.device = Device::cpu();
  const auto module = runtime::make_module(std::make_shared<plan::Plan>(std::move(plan)));
  const auto want = load_arrays(stem + ".expected.npz");
  const auto arguments = arguments_of(module, load_arrays(stem + ".inputs.npz"));
  for (const std::string prefix : {"output", "output2"}) {
    if (!want.contains(prefix + "_0")) continue;
    const auto got = module(arguments);
    model ? expect_outputs(got, want, prefix, 1e-4) : expect_operator_outputs(got, want, prefix);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GpuPlans, testing::ValuesIn(examples()), [](const auto& p) {
  const std::filesystem::path path = p.param.program;
  std::string name = path.parent_path().filename().string() + "_" + path.filename().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
});

}  // namespace
}  // namespace reprise::testing_support
