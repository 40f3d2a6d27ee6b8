// The committed operator programs (ops/), both forms: the values that PyTorch gave, and those of a second call where state changed them.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "models/comparison.h"

namespace reprise::testing_support {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(REPRISE_TEST_MODELS) / "ops";

/// One set of expected values: "{program}" or, with several sizes, "{program}.{sizes}".
std::vector<std::string> cases() {
  constexpr std::string_view kEnding = ".expected.npz";
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kFolder)) {
    const auto name = file.path().filename().string();
    if (name.ends_with(kEnding)) names.insert(name.substr(0, name.size() - kEnding.size()));
  }
  return {names.begin(), names.end()};
}

/// Of one operator, relative to the largest value; integers are compared exactly.
double tolerance(DType dtype) { return dtype == DType::bf16 ? 1.6e-2 : dtype == DType::f16 ? 2e-3 : 1e-5; }

void expect_call(const std::vector<Argument>& got, const Arrays& want, const std::string& prefix) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto name = prefix + "_" + std::to_string(i);
    const auto it = want.find(name);
    if (it == want.end()) continue;
    const auto* tensor = std::get_if<Tensor>(&got[i]);
    const DType dtype = tensor == nullptr ? it->second.dtype() : tensor->dtype();
    expect_close(got[i], it->second, is_floating(dtype) ? tolerance(dtype) : 0, name);
  }
}

class Operators : public testing::TestWithParam<std::tuple<std::string, const char*>> {};

TEST_P(Operators, AgreeWithPyTorch) {
  const auto [name, form] = GetParam();
  const auto file = [](const std::string& stem, const char* ending) { return (kFolder / (stem + ending)).string(); };
  const bool whole = std::filesystem::exists(kFolder / (name + ".pt2"));
  const auto program = whole ? name : name.substr(0, name.rfind('.'));
  const auto module = compile(load_program(file(program + form, ".pt2")));
  const auto want = load_arrays(file(name, ".expected.npz"));
  const auto arguments = arguments_of(module, load_arrays(file(name, ".inputs.npz")));
  expect_call(module(arguments), want, "output");
  if (want.contains("output2_0")) expect_call(module(arguments), want, "output2");
}

INSTANTIATE_TEST_SUITE_P(All, Operators, testing::Combine(testing::ValuesIn(cases()), testing::Values("", ".core")), [](const auto& p) {
  std::string name = std::get<0>(p.param) + std::get<1>(p.param);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
});

}  // namespace
}  // namespace reprise::testing_support
