// Modules compiled for a GPU that is not here; and run, where one is.
#include "runtime/ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "api/compiler/build.h"
#include "api/compiler/program_impl.h"
#include "api/custom_kernels.h"
#include "plan/rpz.h"
#include "reprise/reprise.h"
#include "runtime/module_impl.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using testing_support::message_of;
using testing_support::TempDir;

Program program(const std::string& name) { return load_program(std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/" + name + ".pt2"); }

Module compile_for(const std::string& arch, const std::string& name, CompileOptions options = {}) {
  options.device = Device::cuda();
  options.arch = arch;
  return compile(program(name), options);
}

class AheadOfTime : public testing::Test {
 protected:
  void SetUp() override {
    static const std::string missing = [] {
      try {
        (void)kernels::ahead_of_time("sm_80")->sections();
      } catch (const DeviceError& error) {
        return std::string(error.what());  // a build without the CUDA half, or NVRTC is missing
      }
      return std::string();
    }();
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
};

const std::vector<plan::Section>& sections(const Module& module) { return module.impl()->plan->sections; }

std::vector<const plan::Section*> cubins(const Module& module) {
  std::vector<const plan::Section*> all;
  for (const auto& section : sections(module))
    if (section.name.ends_with(".cubin")) all.push_back(&section);
  return all;
}

/// The number of the architecture that machine code is for: where ELF headers of CUDA 13 have it, or those before.
bool is_for(const plan::Section& code, int architecture) {
  const auto* bytes = code.bytes.data_as<std::uint8_t>();
  constexpr int kMachine = 18, kFlags = 48, kCuda = 190;
  return code.bytes.nbytes() > 64 && std::string(reinterpret_cast<const char*>(bytes), 4) == "\177ELF" && bytes[kMachine] == kCuda &&
         (bytes[kFlags] == architecture || bytes[kFlags + 1] == architecture);
}

TEST_F(AheadOfTime, HoldsMachineCodeForTheArchitecture) {
  for (const auto& [arch, number] : {std::pair("sm_80", 80), std::pair("sm_90a", 90)}) {
    const Module module = compile_for(arch, "convnet");
    const auto code = cubins(module);
    EXPECT_GT(code.size(), 4u);
    for (const auto* cubin : code) EXPECT_TRUE(is_for(*cubin, number)) << arch << ' ' << cubin->name;
  }
}

TEST_F(AheadOfTime, TakesProgramsWhoseSizesDependOnData) {
  for (const char* name : {"data_dependent", "cond"}) EXPECT_FALSE(cubins(compile_for("sm_90a", name)).empty()) << name;
}

TEST_F(AheadOfTime, HoldsTheKernelsOfEveryCommand) {
  for (const char* name : {"convnet", "dynamic", "cond", "data_dependent", "state", "shared"}) {
    const auto plan = std::make_shared<plan::Plan>(api::build_plan(program(name).impl().program, {.device = Device::cuda()}));
    const auto commands = runtime::command_kernels(runtime::make_closed_module(plan), "sm_90a");
    EXPECT_FALSE(commands.empty()) << name;
    for (const auto& [command, kernels] : commands) EXPECT_FALSE(kernels.names.empty() && command->op != core::Op::copy) << name << ' ' << command->name;
  }
}

TEST_F(AheadOfTime, HoldsUsersKernels) {
  auto kernel = testing_support::scale_shift_kernel();
  kernel.nvrtc = NvrtcKernel{.source = "extern \"C\" __global__ void my_scale_shift(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }",
                             .entry = "my_scale_shift",
                             .launch = [](const ForeignShapes& shapes) {
                               return NvrtcKernel::Launch{.grid = {static_cast<unsigned>(shapes.inputs()), 1, 1}};
                             }};
  const Module module = compile(load_program(std::string(REPRISE_TEST_MODELS) + "/custom/pure.pt2"),
                                {.device = Device::cuda(), .arch = "sm_90a", .foreign_kernels = {kernel, testing_support::describe_kernel()}});
  const auto names = [](const plan::Section& section) {
    const auto& text = section.bytes;
    return section.name == "programs.json" && std::string_view(text.data_as<char>(), text.nbytes()).find("my_scale_shift") != std::string_view::npos;
  };
  EXPECT_TRUE(std::any_of(sections(module).begin(), sections(module).end(), names));
  for (const auto& [command, kernels] : runtime::command_kernels(module, "sm_90a"))
    EXPECT_EQ(command->op == core::Op::foreign, kernels.names.at(0).starts_with("foreign mylib.")) << kernels.names.at(0);
}

TEST_F(AheadOfTime, SurvivesSavingAndLoading) {
  const TempDir temp;
  const auto path = (temp / "m.rpz").string();
  const Module module = compile_for("sm_90a", "state");
  module.save(path);
  const auto loaded = runtime::make_closed_module(plan::load(path));
  ASSERT_EQ(sections(loaded).size(), sections(module).size());
  for (const auto* cubin : cubins(loaded)) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(cubin->bytes.data()) % 64, 0u);
  EXPECT_EQ(runtime::command_kernels(loaded).size(), runtime::command_kernels(module).size());
  loaded.save((temp / "again.rpz").string());
  EXPECT_EQ(testing_support::read_file(path), testing_support::read_file(temp / "again.rpz"));
}

TEST_F(AheadOfTime, IsTheSameEachTime) {
  const TempDir temp;
  for (const char* file : {"a.rpz", "b.rpz"}) compile_for("sm_80", "cond").save((temp / file).string());
  EXPECT_EQ(testing_support::read_file(temp / "a.rpz"), testing_support::read_file(temp / "b.rpz"));
}

TEST_F(AheadOfTime, TellsItsSignatureButIsNotCalled) {
  const Module module = compile_for("sm_90a", "state");
  EXPECT_EQ(module.device(), Device::cuda());
  EXPECT_EQ(module.inputs().size(), 1u);
  EXPECT_FALSE(module.state_names().empty());
  auto x = Tensor::zeros(std::vector<std::int64_t>{2, 4}, DType::f32);
  const auto message = message_of<DeviceError>([&] { (void)module(std::vector<Tensor>{x}); });
  EXPECT_NE(message.find("compiled ahead of time for sm_90a"), std::string::npos) << message;
}

TEST_F(AheadOfTime, MovesToTheHost) {
  const Module module = compile_for("sm_90a", "state").to(Device::cpu());
  auto x = Tensor::zeros(std::vector<std::int64_t>{2, 4}, DType::f32);
  EXPECT_EQ(module(std::vector<Tensor>{x}).size(), module.outputs().size());
}

TEST_F(AheadOfTime, RunsOnAGpuWithoutCompilingAnything) {
  device::DevicePtr gpu;
  try {
    gpu = device::open(Device::cuda());
  } catch (const DeviceError& error) {
    GTEST_SKIP() << error.what();
  }
  const TempDir temp;
  const auto path = (temp / "m.rpz").string();
  const std::string arch = kernels::ahead_of_time(gpu)->architecture();
  for (const char* name : {"convnet", "dynamic", "state", "data_dependent", "cond"}) {
    compile_for(arch, name).save(path);
    const auto before = kernels::program_counts(gpu);
    const Module module = Module::load(path, {.allow_recompile = false}), host = module.to(Device::cpu());
    std::vector<Tensor> inputs;
    for (const auto& entry : module.inputs()) {
      auto x = Tensor::empty(entry.opt, DType::f32);
      for (std::int64_t i = 0; i < x.numel(); ++i) x.data_as<float>()[i] = static_cast<float>(i % 7) / 4 - 0.5F;
      inputs.push_back(x.to(entry.dtype));
    }
    const auto got = module(inputs), want = host(inputs);
    for (std::size_t i = 0; i < want.size(); ++i) {
      const auto *a = std::get_if<Tensor>(&got[i]), *b = std::get_if<Tensor>(&want[i]);
      if (b == nullptr || b->dtype() != DType::f32) continue;
      const Tensor on_host = runtime::copy_to(*a, Device::cpu());
      for (std::int64_t k = 0; k < b->numel(); ++k) EXPECT_NEAR(on_host.data_as<float>()[k], b->data_as<float>()[k], 1e-4) << name;
    }
    const auto after = kernels::program_counts(gpu);
    EXPECT_EQ(after.compiled, before.compiled) << name;
    EXPECT_GT(after.loaded, 0u) << name;
  }
}

TEST(AheadOfTimeOptions, ArchitecturesThatDoNotFitAreRefused) {
  const auto on_cpu = message_of<InvalidArgument>([] { (void)compile(program("state"), {.arch = "sm_80"}); });
  EXPECT_NE(on_cpu.find("[compile/options] arch is for GPUs"), std::string::npos) << on_cpu;
}

TEST_F(AheadOfTime, UnknownArchitecturesAreRefusedByName) {
  const auto message = message_of<InvalidArgument>([] { (void)compile_for("sm_75", "state"); });
  EXPECT_NE(message.find("got 'sm_75', want one of sm_80"), std::string::npos) << message;
}

TEST(AheadOfTimeOptions, ModulesForTheHostHoldNothingOfIt) {
  const TempDir temp;
  const auto path = (temp / "m.rpz").string();
  compile(program("state")).save(path);
  EXPECT_TRUE(sections(Module::load(path, {.allow_recompile = false})).empty());
}

}  // namespace
}  // namespace reprise
