// Programs in sections: what is stored, what loading does with it. Needs NVRTC, but no GPU.
#include "kernels/cuda/ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "cuda/support.h"
#include "device/cuda/compiler.h"
#include "kernels/cuda/program_sections.h"
#include "plan/sections.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::kernels::cuda {
namespace {

using plan::section_text;
using plan::text_section;
using testing_support::message_of;
using Sections = std::vector<plan::Section>;

/// A row-major tensor in slot `slot`.
OperandRef operand(std::initializer_list<std::int64_t> sizes, int slot) {
  OperandRef ref{.dtype = DType::f32, .slot = slot, .rank = static_cast<int>(sizes.size())};
  std::copy(sizes.begin(), sizes.end(), ref.sizes.begin());
  std::int64_t stride = 1;
  for (int d = ref.rank; d-- > 0; stride *= ref.sizes[static_cast<std::size_t>(d)]) ref.strides[static_cast<std::size_t>(d)] = stride;
  return ref;
}

class Sectioned : public testing::Test {
 protected:
  void SetUp() override {
    try {
      (void)device::cuda::compiler_version();
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
  }

  /// y = x wᵀ of a layer
  static StepKernels add_matmul(AheadOfTime& ahead) {
    const std::vector<OperandRef> inputs = {operand({64, 32}, 0), operand({32, 48}, 1)}, outputs = {operand({64, 48}, 2)};
    const core::Attrs attrs;
    const BoundAttrs bound(attrs, [](const sym::Expr& e) { return sym::Number::of(*e.as_int()); });
    return ahead.describe({.op = core::Op::matmul, .inputs = inputs, .outputs = outputs, .attrs = &bound, .threads = 1, .name = "layer"});
  }
  static Sections compiled(const std::string& architecture) {
    const auto ahead = make_ahead_of_time(architecture);
    (void)add_matmul(*ahead);
    return ahead->sections();
  }
  static std::shared_ptr<Gpu> offline(const std::string& architecture) { return Gpu::offline(device::cuda::usual_gpu(architecture)); }
  static plan::Section& find(Sections& sections, std::string_view suffix) {
    return *std::find_if(sections.begin(), sections.end(), [&](const auto& s) { return s.name.ends_with(suffix); });
  }
};

TEST_F(Sectioned, ReadBackAsTheyWere) {
  const auto sections = compiled("sm_80");
  const auto stored = read_programs(sections);
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->gpu.architecture, "sm_80");
  EXPECT_EQ(stored->gpu.multiprocessors, 108);
  EXPECT_EQ(stored->texts, device::cuda::texts_key());
  ASSERT_GT(stored->programs.size(), 4u);  // those that copy inputs, and the product's
  for (const auto& p : stored->programs) {
    EXPECT_EQ(p.key, device::cuda::program_key(p.source, "sm_80"));
    EXPECT_NE(p.key, device::cuda::program_key(p.source, "sm_90a"));
    EXPECT_FALSE(p.program.kernel.empty());
  }
  const auto again = to_sections(*stored);
  ASSERT_EQ(again.size(), sections.size());
  EXPECT_EQ(section_text(again, "programs.json"), section_text(sections, "programs.json"));
}

TEST_F(Sectioned, AreFoundOnAGpuOfTheirArchitecture) {
  const auto sections = compiled("sm_80");
  const auto gpu = offline("sm_80");
  load_sections(*gpu, sections, false);
  EXPECT_TRUE(gpu->programs().take_requests().empty());
  const auto stored = read_programs(sections);
  for (const auto& p : stored->programs) {
    const auto found = gpu->programs().find(p.source);
    ASSERT_TRUE(found.has_value()) << p.source.entry;
    EXPECT_EQ(found->code.data(), p.program.code.data());
  }
  EXPECT_EQ(gpu->programs().counts().compiled, 0u);
}

TEST_F(Sectioned, AreCompiledAnewForAnotherArchitectureIfThatIsAllowed) {
  const auto sections = compiled("sm_80");
  const auto message = message_of<DeviceError>([&] { load_sections(*offline("sm_90a"), sections, false); });
  EXPECT_NE(message.find("must be recompiled, which is not allowed (got kernels for sm_80, want sm_90a)"), std::string::npos) << message;
  const auto gpu = offline("sm_90a");
  load_sections(*gpu, sections, true);
  EXPECT_EQ(gpu->programs().take_requests().size(), read_programs(sections)->programs.size());
}

TEST_F(Sectioned, KeepTheChoicesOfTheirCommands) {
  const auto ahead = make_ahead_of_time("sm_80");
  EXPECT_EQ(add_matmul(*ahead).names, std::vector<std::string>{"cublaslt"});
  auto sections = ahead->sections();
  EXPECT_EQ(section_text(sections, "choices.txt"), "");
  // As if it had been measured on a card.
  const std::string key = "3 sm_80 matmul f32[64:32,32:1]@0#0 f32[32:48,48:1]@0#1 -> f32[64:48,48:1]@0#2";
  sections.push_back(text_section("choices.txt", "gemm:1x1\t12.5\t" + key + "\ndirect\t1\tsomething else\n"));
  const auto again = make_ahead_of_time(sections);
  const auto kernels = add_matmul(*again);
  EXPECT_EQ(kernels.names.at(0), "gemm:1x1");
  EXPECT_EQ(kernels.names.size(), 2u);
  EXPECT_EQ(kernels.microseconds, 12.5);
  EXPECT_EQ(section_text(again->sections(), "choices.txt"), "gemm:1x1\t12.5\t" + key + "\n");
  const auto gpu = offline("sm_80");
  load_sections(*gpu, sections, false);
  EXPECT_EQ(gpu->service<Choices>().find(key)->name, "gemm:1x1");
}

TEST_F(Sectioned, DamageIsToldByPlace) {
  const auto sections = compiled("sm_80");
  const auto refusal = [](const Sections& damaged) { return message_of<FormatError>([&] { load_sections(*offline("sm_80"), damaged, true); }); };
  auto missing = sections;
  missing.erase(missing.begin());
  EXPECT_NE(refusal(missing).find("device/programs.json: programs[0].key names no machine code of the module"), std::string::npos) << refusal(missing);
  auto no_elf = sections;
  find(no_elf, ".cubin").bytes = text_section("", "not a cubin").bytes;
  EXPECT_NE(refusal(no_elf).find("names no machine code"), std::string::npos);
  const std::string index(section_text(sections, "programs.json"));
  for (std::size_t n = 0; n < index.size(); n += 7) {
    auto cut = sections;
    find(cut, "programs.json") = text_section("programs.json", std::string_view(index).substr(0, n));
    EXPECT_NE(refusal(cut).find("device/programs.json"), std::string::npos) << n;
  }
}

using OnGpu = device::cuda::test::OnGpu;

TEST_F(OnGpu, LoadsMachineCodeInsteadOfCompiling) {
  const device::cuda::ProgramSource source{.text = "extern \"C\" __global__ void stored_alone() {}\n", .entry = "stored_alone"};
  const std::string& architecture = gpu->info().architecture;
  auto& programs = gpu->programs();
  EXPECT_FALSE(programs.find(source).has_value());
  programs.add(device::cuda::program_key(source, architecture), device::cuda::compile_program(source, architecture));
  const auto before = programs.counts();
  EXPECT_NE(programs.request(source).get(), nullptr);
  EXPECT_NE(programs.request(source).get(), nullptr);
  EXPECT_EQ(programs.counts().compiled, before.compiled);
  EXPECT_EQ(programs.counts().loaded, before.loaded + 1);
  EXPECT_TRUE(programs.find(source).has_value());
}

TEST_F(OnGpu, WhatItHasCompiledIsStoredWithoutCompilingAgain) {
  const device::cuda::ProgramSource source{.text = "extern \"C\" __global__ void compiled_here() {}\n", .entry = "compiled_here"};
  const auto before = gpu->programs().counts();
  EXPECT_NE(gpu->programs().request(source).get(), nullptr);
  EXPECT_EQ(gpu->programs().counts().compiled, before.compiled + 1);
  EXPECT_GT(gpu->programs().find(source)->code.nbytes(), 64u);
}

}  // namespace
}  // namespace reprise::kernels::cuda
