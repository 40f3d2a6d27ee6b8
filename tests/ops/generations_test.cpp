// Every committed program of every exporter converts to a graph that obeys the rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "import/pt2/load.h"
#include "ops/convert.h"

namespace reprise::ops {
namespace {

std::vector<std::string> programs() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(REPRISE_TEST_MODELS "/generations"))
    if (entry.path().extension() == ".pt2") out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Generations, AllSeventyTwoFilesAreThere) { EXPECT_EQ(programs().size(), 72u); }

class Generations : public testing::TestWithParam<std::string> {};

TEST_P(Generations, ConvertsToAValidGraph) {
  const auto program = import::load_pt2(GetParam());
  const auto graph = convert(program, Registry::builtin(), {});
  ir::verify(graph);
  EXPECT_EQ(graph.results.size(), program.call.output_names.size());
  EXPECT_FALSE(ir::print(graph).empty());
}

INSTANTIATE_TEST_SUITE_P(Files, Generations, testing::ValuesIn(programs()), [](const auto& file) {
  std::string out = std::filesystem::path(file.param).lexically_relative(REPRISE_TEST_MODELS "/generations").string();
  std::replace_if(
      out.begin(), out.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return out;
});

}  // namespace
}  // namespace reprise::ops
