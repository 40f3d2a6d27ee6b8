// Weights that a module's file holds as kernels want them: which bytes of the file a call goes by.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "base/file.h"
#include "base/zip.h"
#include "kernels/stored_forms.h"
#include "plan/rpz.h"
#include "plan/sections.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "runtime/numbers.h"
#include "temp_dir.h"

namespace reprise::test {
namespace {

using testing_support::TempDir;

constexpr const char *kPlainWeights = "weights/", *kForms = "device/cpu_packed/";

struct Network {
  std::int64_t width = 96;
  int layers = 4;
  bool packed = true, streams = false;

  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(layers * width * width * 4); }
  /// x[3, width] · W · W …
  [[nodiscard]] plan::PlanPtr plan() const {
    PlanMaker m;
    m.plan.settings.packed_weights = packed;
    m.plan.settings.enable_weight_streaming = streams;
    Ref h = m.input("x", {3, width});
    for (int i = 0; i < layers; ++i) {
      Ref w = m.weight("w" + std::to_string(i), numbers(width * width, static_cast<unsigned>(i)));
      w.sizes = {width, width};
      const Ref y = i == layers - 1 ? m.output("y", {3, width}) : m.temp({3, width});
      m.add(core::Op::matmul, {h, w}, {y}, {{"has_bias", false}});
      h = y;
    }
    return m.finish();
  }
  [[nodiscard]] Tensor input() const { return floats(numbers(3 * width, 77), {3, width}); }
};

std::vector<float> result(const Module& module, const Network& network) { return values(call(module, {network.input()})[0]); }
std::vector<float> expected(const Network& network) { return result(runtime::make_module(network.plan()), network); }

/// Sets what the file's entries of this folder hold to zero.
void erase(const std::filesystem::path& path, std::string_view folder) {
  std::vector<std::pair<std::ptrdiff_t, std::size_t>> places;
  {
    const auto file = base::MappedFile::open(path);
    const base::ZipReader zip(file->bytes(), "m.rpz", {.check_crc = false});
    for (const auto& entry : zip.entries())
      if (entry.name.starts_with(folder)) places.emplace_back(entry.data.data() - file->bytes().data(), entry.data.size());
  }
  ASSERT_FALSE(places.empty()) << folder;
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (const auto& [at, bytes] : places) file.seekp(at).write(std::string(bytes, '\0').data(), static_cast<std::streamsize>(bytes));
}

/// Saves the plan of a saved module with other sections.
void change_sections(const std::filesystem::path& path, const std::function<void(std::vector<plan::Section>&)>& change) {
  plan::Plan plan = *plan::load(path);
  change(plan.sections);
  plan::save(plan, path);
}

void change_index(const std::filesystem::path& path, const std::function<void(std::string&)>& change) {
  change_sections(path, [&](std::vector<plan::Section>& sections) {
    for (plan::Section& section : sections) {
      if (section.name != "cpu_packed.txt") continue;
      std::string text(plan::section_text(sections, section.name));
      change(text);
      section = plan::text_section(section.name, text);
    }
  });
}

class PackedWeights : public testing::Test {
 protected:
  void SetUp() override {
    make().save(path_);
    if (kernels::summarize_stored_forms(*plan::load(path_)).count == 0) GTEST_SKIP() << "no kernel of this build and instruction set packs weights";
  }
  [[nodiscard]] Module make() const { return runtime::make_module(network_.plan()); }
  /// What calls of the file compute once it holds nothing but zeros in this folder.
  [[nodiscard]] std::vector<float> without(const char* folder) const {
    erase(path_, folder);
    return result(Module::load(path_), network_);
  }

  const TempDir dir_;
  const std::string path_ = (dir_ / "m.rpz").string();
  const Network network_{.width = 640};  // forms of more than a mebibyte, which like weights have no checksum when they are loaded
  const std::vector<float> want_ = expected(network_), zeros_ = std::vector<float>(want_.size());
};

TEST_F(PackedWeights, AreUsedInPlaceOfThePlainOnes) {
  EXPECT_EQ(kernels::summarize_stored_forms(*plan::load(path_)).count, static_cast<std::size_t>(network_.layers));
  EXPECT_EQ(result(Module::load(path_), network_), want_);
  EXPECT_EQ(without(kPlainWeights), want_);
  EXPECT_EQ(without(kForms), zeros_);
}

TEST_F(PackedWeights, BeginAtPages) {
  const auto file = base::MappedFile::open(path_);
  const base::ZipReader zip(file->bytes(), "m.rpz");
  for (const auto& entry : zip.entries()) {
    const auto at = entry.data.data() - file->bytes().data();
    EXPECT_EQ(at % (entry.name.starts_with(kForms) ? 4096 : 64), 0) << entry.name;
  }
}

TEST_F(PackedWeights, OfASecondSaveAreThoseOfTheFirst) {
  const auto second = (dir_ / "second.rpz").string();
  Module::load(path_).save(second);
  EXPECT_EQ(testing_support::read_file(path_), testing_support::read_file(second));
}

TEST_F(PackedWeights, AreNotThereWhereNobodyAskedForThem) {
  Network plain = network_;
  plain.packed = false;
  runtime::make_module(plain.plan()).save(path_);
  EXPECT_TRUE(plan::load(path_)->sections.empty());
}

TEST_F(PackedWeights, OfOtherVersionsAreIgnored) {
  change_index(path_, [](std::string& text) { text = "cpu 0" + text.substr(5); });
  EXPECT_EQ(without(kForms), want_);
}

TEST_F(PackedWeights, OfAnotherInstructionSetAreIgnored) {
  const std::string before(cpu_isa());
  if (before == "plain" || before == "avx2") GTEST_SKIP() << "needs two that pack";
  set_max_cpu_isa("avx2");
  const auto want = expected(network_), got = without(kForms);
  set_max_cpu_isa(before);
  EXPECT_EQ(got, want);
}

TEST_F(PackedWeights, ThatDoNotFitAreIgnored) {
  const auto damages = std::vector<std::function<void(std::vector<plan::Section>&)>>{
      [](auto& sections) { std::erase_if(sections, [](const auto& s) { return s.name == "cpu_packed/0"; }); },
      [](auto& sections) {
        for (auto& s : sections)
          if (s.name == "cpu_packed/0") s = plan::text_section(s.name, std::string(s.bytes.nbytes() - 1, '\0'));
      },
      [](auto& sections) {
        for (auto& s : sections)
          if (s.name == "cpu_packed/0") s = plan::text_section(s.name, "");
      }};
  for (const auto& damage : damages) {
    make().save(path_);
    change_sections(path_, damage);
    EXPECT_EQ(result(Module::load(path_), network_), want_);
  }
}

TEST_F(PackedWeights, WithAnIndexThatIsWrongAreIgnored) {
  for (const char* line : {"", "x", "0", "0\t0", "99\t0\t4\tcpu_packed/0\t3", "0\t99999999\t4\tcpu_packed/0\t3", "-1\t0\t4\tcpu_packed/0\t3",
                           "0\t0\t99999999999999999999999\tcpu_packed/0\t3", "0\t0\t4\tnowhere\t3", "0\t0\t4\tcpu_packed/0\t3"}) {
    make().save(path_);
    change_index(path_, [&](std::string& text) { text = text.substr(0, text.find('\n') + 1) + line; });
    EXPECT_EQ(result(Module::load(path_), network_), want_) << line;
  }
  make().save(path_);
  change_index(path_, [](std::string& text) { text.resize(text.size() / 2); });
  EXPECT_EQ(result(Module::load(path_), network_), want_);
}

TEST_F(PackedWeights, AreReadWhereTheyLieWhenStreamed) {
  Network network = network_;
  network.streams = true;
  runtime::make_module(network.plan()).save(path_);
  erase(path_, kPlainWeights);
  const Module module = Module::load(path_);
  auto scope = runtime::weight_streaming(module);
  for (const std::int64_t budget : {0, static_cast<int>(network.bytes() / 2)}) {
    scope.set_device_budget(budget);
    const auto before = module.stats();
    EXPECT_EQ(result(module, network), want_);
    const auto after = module.stats();
    EXPECT_EQ(after.streamed_weights - before.streamed_weights, static_cast<std::size_t>(budget == 0 ? 4 : 2));
    EXPECT_GE(after.streamed_bytes - before.streamed_bytes, network.bytes() - static_cast<std::size_t>(budget));
    EXPECT_EQ(module.memory().slot_bytes, 0u);
  }
  const auto graphs = runtime::enable_cudagraphs(module);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(result(module, network), want_);
}

TEST_F(PackedWeights, ThatSomeCommandsLackAreCopiedForThose) {
  Network network = network_;
  network.streams = true;
  runtime::make_module(network.plan()).save(path_);
  change_index(path_, [](std::string& text) {  // the first form is another one's
    const auto line = text.find('\n') + 1;
    text.insert(text.find('\n', line), "0");
  });
  const Module module = Module::load(path_);
  auto scope = runtime::weight_streaming(module);
  scope.set_device_budget(0);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(result(module, network), want_);
  EXPECT_GE(module.memory().slot_bytes, network.bytes() / 4);
  EXPECT_LT(module.memory().slot_bytes, network.bytes() / 2);
}

}  // namespace
}  // namespace reprise::test
