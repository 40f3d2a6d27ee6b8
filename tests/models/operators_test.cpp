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

class Operators : public testing::TestWithParam<std::tuple<std::string, const char*>> {};

TEST_P(Operators, AgreeWithPyTorch) {
  const auto [name, form] = GetParam();
  const auto file = [](const std::string& stem, const char* ending) { return (kFolder / (stem + ending)).string(); };
  const bool whole = std::filesystem::exists(kFolder / (name + ".pt2"));
  const auto program = whole ? name : name.substr(0, name.rfind('.'));
  const auto module = compile(load_program(file(program + form, ".pt2")));
  const auto want = load_arrays(file(name, ".expected.npz"));
  const auto arguments = arguments_of(module, load_arrays(file(name, ".inputs.npz")));
  expect_operator_outputs(module(arguments), want, "output");
  if (want.contains("output2_0")) expect_operator_outputs(module(arguments), want, "output2");
}

INSTANTIATE_TEST_SUITE_P(All, Operators, testing::Combine(testing::ValuesIn(cases()), testing::Values("", ".core")), [](const auto& p) {
  std::string name = std::get<0>(p.param) + std::get<1>(p.param);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
});

}  // namespace
}  // namespace reprise::testing_support
