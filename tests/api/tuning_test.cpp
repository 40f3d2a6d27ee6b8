// Kernels of the CPU chosen by measurement when a program is compiled: kept by the module, its file and the runtime cache.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/hash.h"
#include "kernels/cpu/library.h"
#include "kernels/isa.h"
#include "plan/rpz.h"
#include "plan/sections.h"
#include "reprise/reprise.h"
#include "runtime/ahead.h"
#include "runtime/module_impl.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using testing_support::TempDir;

constexpr const char* kSection = "cpu_choices.txt";

Module compile_convnet(CompileOptions options) {
  return compile(load_program(std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/convnet.pt2"), options);
}

struct Row {
  std::vector<std::string> names;
  std::optional<double> microseconds;
  bool operator==(const Row&) const = default;
};
std::vector<Row> kernels_of(const Module& module) {
  std::vector<Row> rows;
  for (const auto& [command, kernels] : runtime::command_kernels(module)) rows.push_back({kernels.names, kernels.microseconds});
  return rows;
}
bool has_times(const Module& module) {
  return std::ranges::any_of(kernels_of(module), [](const Row& row) { return row.microseconds.has_value(); });
}

std::string text_of(const std::string& path) { return std::string(plan::section_text(plan::load(path)->sections, kSection)); }

/// Threads are part of what a choice is for: each test has a number of its own.
class Tuning : public testing::Test {
 protected:
  void SetUp() override {
    if (kernels::cpu::open_library() == nullptr || kernels::active_isa() == kernels::Isa::plain) GTEST_SKIP() << "nothing competes for this program";
  }
};

TEST_F(Tuning, NothingIsMeasuredAtLevel0) {
  const TempDir temp;
  const Module module = compile_convnet({.threads = 5, .optimization_level = 0, .runtime_cache_path = (temp / "cache").string()});
  EXPECT_FALSE(has_times(module));
  module.save((temp / "m.rpz").string());
  EXPECT_EQ(text_of((temp / "m.rpz").string()), "");
}

TEST_F(Tuning, ChoicesAreSavedWithTheModuleAndTakenByAllThatLoadIt) {
  const TempDir temp;
  const std::string path = (temp / "m.rpz").string(), again = (temp / "again.rpz").string();
  const Module module = compile_convnet({.threads = 6, .optimization_level = 5});
  ASSERT_TRUE(has_times(module));
  module.save(path);
  const std::string text = text_of(path);
  EXPECT_NE(text.find("6 threads"), std::string::npos) << text;
  const auto rows = kernels_of(module);
  EXPECT_EQ(kernels_of(Module::load(path)), rows);
  EXPECT_EQ(kernels_of(Module::load(path)), rows);
  Module::load(path).save(again);
  EXPECT_EQ(text_of(again), text);
}

/// A line of choices as it would be had another kernel won.
std::string with_another(const std::string& line) { return "reference\t123.5\t" + line.substr(line.find('\t', line.find('\t') + 1) + 1); }

bool takes_another(const Module& module) {
  return std::ranges::any_of(kernels_of(module), [](const Row& row) { return row.names.front() == "reference" && row.microseconds == 123.5; });
}

TEST_F(Tuning, AModulesChoicesCountWhereItIsLoaded) {
  const TempDir temp;
  const std::string path = (temp / "m.rpz").string();
  compile_convnet({.threads = 7, .optimization_level = 5}).save(path);
  plan::Plan plan = *plan::load(path);
  plan.sections = {plan::text_section(kSection, with_another(text_of(path)))};
  plan::save(plan, path);
  EXPECT_TRUE(takes_another(Module::load(path)));
}

TEST_F(Tuning, TheRuntimeCacheSparesTheNextCompilationTheMeasuring) {
  const TempDir temp;
  const std::string path = (temp / "cache").string();
  const CompileOptions options{.threads = 8, .optimization_level = 5, .runtime_cache_path = path};
  (void)compile_convnet(options);
  std::ifstream file(path);
  std::string head, line, body;
  std::getline(file, head);
  while (std::getline(file, line)) {
    constexpr std::string_view kChoice = "choice\t";
    ASSERT_TRUE(line.starts_with(kChoice)) << line;
    if (line.find(", 8 threads,") != line.npos) body += std::string(kChoice) + with_another(line.substr(kChoice.size())) + "\n";
  }
  ASSERT_NE(body, "");
  std::ofstream(path) << "reprise-runtime-cache 1 " << base::sha256(body) << "\n" << body;
  EXPECT_TRUE(takes_another(compile_convnet(options)));
}

TEST_F(Tuning, ResultsAreTheSame) {
  const Tensor x = Tensor::zeros(std::vector<std::int64_t>{2, 3, 16, 16}, DType::f32);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data_as<float>()[i] = static_cast<float>(i % 17) / 8 - 1;
  const auto call = [&](int level) { return compile_convnet({.threads = 2, .optimization_level = level})(std::vector{x}); };
  const Tensor plain = std::get<Tensor>(call(0)[0]), tuned = std::get<Tensor>(call(5)[0]);
  for (std::int64_t i = 0; i < plain.numel(); ++i) EXPECT_NEAR(tuned.data_as<float>()[i], plain.data_as<float>()[i], 1e-5);
}

}  // namespace
}  // namespace reprise
