// Weight streaming of programs that PyTorch exported: compiled here, and saved and loaded.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "reprise/npz.h"
#include "reprise/reprise.h"
#include "reprise/runtime.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using testing_support::TempDir;

std::string file(const std::string& name) { return std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/" + name; }

std::vector<Argument> inputs_of(const std::string& name) {
  std::map<std::string, Tensor> arrays;
  for (auto& [key, array] : load_npz(file(name + ".inputs.npz"))) arrays.emplace(key, array);
  std::vector<Argument> inputs;
  for (std::size_t i = 0; arrays.contains("input_" + std::to_string(i)); ++i) inputs.emplace_back(arrays.at("input_" + std::to_string(i)));
  return inputs;
}

bool same_bits(const std::vector<Argument>& a, const std::vector<Argument>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto *x = std::get_if<Tensor>(&a[i]), *y = std::get_if<Tensor>(&b[i]);
    if (x == nullptr || y == nullptr ? a[i].index() != b[i].index() : x->sizes() != y->sizes() || std::memcmp(x->data(), y->data(), x->nbytes()) != 0)
      return false;
  }
  return true;
}

class WeightStreaming : public testing::TestWithParam<const char*> {
 protected:
  static void check(const Module& module, const std::vector<Argument>& inputs, const std::vector<Argument>& want) {
    auto scope = runtime::weight_streaming(module);
    const auto total = scope.total_device_budget();
    ASSERT_GT(total, 0);
    for (const bool recorded : {false, true}) {
      std::optional<runtime::CudaGraphsScope> graphs;
      if (recorded) graphs.emplace(runtime::enable_cudagraphs(module));
      for (const auto budget : {total, std::int64_t{0}, total / 2, total - 1, total}) {
        scope.set_device_budget(budget);
        for (int i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(scope(inputs), want)) << budget << " of " << total << " bytes";
      }
    }
    EXPECT_GT(module.stats().streamed_bytes, 0u);
  }
};

TEST_P(WeightStreaming, GivesTheBitsOfACallWithout) {
  const std::string name = GetParam();
  const auto program = load_program(file(name + ".pt2"));
  const auto inputs = inputs_of(name);
  const auto want = compile(program)(inputs);
  for (const bool packed : {false, true}) {
    const Module module = compile(program, {.enable_weight_streaming = true, .packed_weights = packed});
    check(module, inputs, want);
    const TempDir dir;
    module.save(dir / "module.rpz");
    check(Module::load(dir / "module.rpz"), inputs, want);
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, WeightStreaming, testing::Values("convnet", "dynamic"));

TEST(WeightStreamingOfPrograms, IsForModulesCompiledForIt) {
  const Module module = compile(load_program(file("convnet.pt2")));
  auto scope = runtime::weight_streaming(module);
  EXPECT_EQ(scope.total_device_budget(), 0);
  EXPECT_THROW(scope.set_device_budget(0), InvalidArgument);
}

}  // namespace
}  // namespace reprise
