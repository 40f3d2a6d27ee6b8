// What competes for products and convolutions on the CPU, how it is measured, and what becomes of the choice. The oracle computes in double.
#include "kernels/cpu/tuner.h"

#include <algorithm>
#include <set>

#include "kernels/cpu/choices.h"
#include "kernels/cpu/step_maker.h"
#include "kernels/cpu_run.h"
#include "kernels/isa.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

using cpu::best_choice;
using cpu::Contractions;
using cpu::machine_choices;

/// A command whose second operand never changes. Tests have sizes of their own: what one notes counts for all.
struct Command {
  core::Op op;
  core::Attrs attrs;
  std::vector<Tensor> inputs;
  Tensor y;

  /// Calls f(spec).
  void bind(int threads, const CpuRun::Make& f) const {
    CpuRun run({.threads = threads, .fixed = {1}});
    run.make(op, attrs, inputs, {y}, f);
  }
  [[nodiscard]] StepKernels kernels(int threads = 1) const {
    StepKernels told;
    bind(threads, [&](const StepSpec& spec) {
      told = cpu::make_ahead_of_time()->describe(spec);
      return nullptr;
    });
    return told;
  }
  [[nodiscard]] std::string key(int threads = 1) const {
    std::string key;
    bind(threads, [&](const StepSpec& spec) {
      key = cpu::choice_key(spec, Contractions().version());
      return nullptr;
    });
    return key;
  }
  void tune(int level, int threads = 1) const {
    const auto tuner = step_tuner(device::open(Device::cpu()), {.level = level, .weight_bytes = std::size_t{1} << 30});
    bind(threads, [&](const StepSpec& spec) {
      if (tuner) tuner(spec);
      return nullptr;
    });
  }
};

Command matmul(std::int64_t rows, std::int64_t columns, std::int64_t depth, DType dtype = DType::f32) {
  return {
      core::Op::matmul, {{"has_bias", false}}, {random({rows, depth}, dtype), random({depth, columns}, dtype, Layout::rows, 2)}, empty({rows, columns}, dtype)};
}

Command conv(std::int64_t from, std::int64_t to, std::int64_t size, std::int64_t kernel, std::int64_t groups, DType dtype) {
  return {core::Op::conv,
          {{"stride", ints({1, 1})},
           {"padding", ints({kernel / 2, kernel / 2})},
           {"dilation", ints({1, 1})},
           {"groups", integer(groups)},
           {"transposed", false},
           {"has_bias", false}},
          {channels_last(random({1, from, size, size}, dtype)), channels_last(random({to, from / groups, kernel, kernel}, dtype, Layout::rows, 2))},
          channels_last(empty({1, to, size, size}, dtype))};
}

Command with_addend(Command c) {
  c.attrs.set("epilogue", add_relu(c.y.dtype()));
  const Tensor addend = random(Sizes(c.y.sizes().begin(), c.y.sizes().end()), c.y.dtype(), Layout::rows, 3);
  c.inputs.push_back(c.op == core::Op::conv ? channels_last(addend) : addend);
  return c;
}

/// The result goes where the addend lies.
Command in_place(Command c) {
  c = with_addend(std::move(c));
  c.y = c.inputs.back();
  return c;
}

Values expected(const Command& c) {
  core::Attrs attrs = c.attrs;
  if (attrs.has("epilogue")) attrs.set("epilogue", add_relu(DType::f64));
  std::vector<Tensor> inputs;
  for (const Tensor& t : c.inputs) inputs.push_back(t.to(DType::f64));
  const Tensor y = empty(Sizes(c.y.sizes().begin(), c.y.sizes().end()), DType::f64);
  run_reference(c.op, attrs, inputs, std::vector{y});
  return values(y);
}

/// By every candidate that takes it. Adds the names of these.
void check_candidates(const Command& c, int threads, std::set<std::string>& names) {
  const Values oracle = expected(c);
  const bool over_addend = c.inputs.back().data() == c.y.data();
  const Tensor before = over_addend ? c.y.to(DType::f64) : Tensor::zeros(c.y.sizes(), DType::f64);
  Contractions kernels;
  std::vector<std::string> all{"reference"};
  c.bind(threads, [&](const StepSpec& spec) {
    const auto more = kernels.names(spec, true);
    all.insert(all.end(), more.begin(), more.end());
    return nullptr;
  });
  for (const std::string& name : all) {
    CpuRun run({.threads = threads, .fixed = {1}});
    bool made = false;
    run.make(c.op, c.attrs, c.inputs, {c.y}, [&](const StepSpec& spec) {
      cpu::MadeStep step = kernels.make(spec, name);
      made = step.step != nullptr;
      EXPECT_TRUE(!made || step.kernels.at(0) == name) << name;
      return std::move(step.step);
    });
    if (!made) continue;
    names.insert(name.substr(0, name.find(':')));
    tensor::copy_into(c.y, before.to(c.y.dtype()));
    run.run();
    expect_near(c.y, oracle, std::max(name.starts_with("winograd") ? 3e-5 : 0, tolerance(c.y.dtype())), name + ", " + std::string(cpu_isa()));
  }
}

TEST(CpuCandidates, AllGiveTheSame) {
  for (const std::string& isa : machine_isas()) {
    const IsaScope scope(isa);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      std::set<std::string> names;
      for (const int threads : {1, 2}) {
        for (const Command& c : {matmul(70, 96, 1100, dtype), conv(32, 48, 29, 3, 1, dtype), conv(32, 32, 14, 3, 1, dtype), conv(48, 48, 15, 3, 48, dtype),
                                 conv(160, 64, 40, 1, 1, dtype)}) {
          check_candidates(c, threads, names);
          check_candidates(with_addend(c), threads, names);
          check_candidates(in_place(c), threads, names);
        }
      }
      const bool tiles = std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("gemm_"); });
      EXPECT_EQ(tiles, isa != "plain");
      EXPECT_EQ(names.contains("winograd"), dtype == DType::f32 || isa != "amx");
      EXPECT_TRUE(names.contains("depthwise"));
    }
  }
}

TEST(CpuTuner, TakesTheFixedRulesKernelUnlessAnotherIsClearlyFaster) {
  using M = cpu::Measurement;
  EXPECT_EQ(best_choice({M{"likely", 10, 1}, M{"other", 9.8, 0.98}}, 1, true).name, "likely");
  EXPECT_EQ(best_choice({M{"likely", 10, 1}, M{"other", 9, 0.9}, M{"best", 5, 0.5}, M{"slow", 30, 3}}, 2, true).name, "best");
  EXPECT_EQ(best_choice({M{"likely", 10, 1}, M{"other", 9.5, 0.95}}, 2, true).name, "likely");
  EXPECT_EQ(best_choice({M{"likely", 10, 1}, M{"other", 9.5, 0.95}}, 1, true).name, "other");
}

TEST(CpuTuner, TakesOurOwnKernelsAloneWhereItIsTold) {
  using M = cpu::Measurement;
  const std::vector<M> all{M{"library", 10, 1, true}, M{"own", 20, 2}, M{"variant", 19.8, 1.98}, M{"library:add", 5, 0.5, true}};
  EXPECT_EQ(best_choice(all, 1, true).name, "library:add");
  EXPECT_EQ(best_choice(all, 1, false).name, "own");
  EXPECT_EQ(best_choice({M{"library", 10, 1, true}, M{"library:add", 5, 0.5, true}}, 1, false).name, "library:add") << "there is no other";
}

TEST(CpuTuner, AProgramTakesALibraryWhereItGainsByItAsAWhole) {
  using M = cpu::Measurement;
  const auto noted = [](const char* key) { return machine_choices().find(key)->name; };
  cpu::ProgramChoices program;
  program.add("program: first", {M{"own", 100, 1}, M{"library", 98, 0.98, true}}, 1);
  EXPECT_EQ(noted("program: first"), "own");
  program.add("program: second", {M{"own", 100, 1}, M{"library", 92, 0.92, true}}, 1);
  EXPECT_EQ(noted("program: second"), "own") << "8 of 200";
  program.add("program: third", {M{"own", 100, 1}, M{"library", 70, 0.7, true}}, 1);
  EXPECT_EQ(noted("program: third"), "library");
  EXPECT_EQ(noted("program: second"), "library") << "38 of 300";
  EXPECT_EQ(noted("program: first"), "own");
  program.add("program: fourth", {M{"own", 800, 1}, M{"library", 900, 1.125, true}}, 1);
  EXPECT_EQ(noted("program: third"), "own") << "38 of 1100";
  EXPECT_EQ(noted("program: second"), "own");
  for (int i = 0; i < 4; ++i) program.add_again("program: third");
  EXPECT_EQ(noted("program: third"), "library") << "158 of 1500";
}

TEST(CpuTuner, NeverTimesAtLevel0) {
  const Command c = matmul(200, 203, 300);
  EXPECT_EQ(step_tuner(device::open(Device::cpu()), {.level = 0}), nullptr);
  c.tune(0);
  cpu::Tuner(device::open(Device::cpu()), {.level = 0});
  EXPECT_FALSE(machine_choices().find(c.key()));
}

TEST(CpuTuner, LeavesSmallCommandsAndOthersAlone) {
  const Command small = matmul(8, 9, 10);
  small.tune(5);
  EXPECT_FALSE(machine_choices().find(small.key()));
  Command changing = matmul(200, 204, 300);
  CpuRun run({});  // nothing is fixed: there is no weight to pack
  run.make(changing.op, changing.attrs, changing.inputs, {changing.y}, [&](const StepSpec& spec) {
    cpu::Tuner tuner(device::open(Device::cpu()), {.level = 5});
    EXPECT_TRUE(tuner.measure(spec).empty());
    return nullptr;
  });
}

TEST(CpuTuner, NotesACandidateAndItsTimeForEachNumberOfThreads) {
  for (const int threads : {1, 2}) {
    const Command c = conv(32, 64, 28, 3, 1, DType::f32);
    const std::string likely = c.kernels(threads).names.front();
    EXPECT_FALSE(c.kernels(threads).microseconds);
    c.tune(3, threads);
    const auto choice = machine_choices().find(c.key(threads));
    if (active_isa() == Isa::plain && !choice) continue;  // nothing competes there without a library
    ASSERT_TRUE(choice) << c.key(threads);
    EXPECT_GT(choice->microseconds, 0);
    const auto kernels = c.kernels(threads);
    EXPECT_EQ(kernels.names.front(), choice->name);
    EXPECT_EQ(kernels.microseconds, choice->microseconds);
    // What has a choice is not measured again.
    machine_choices().set(c.key(threads), {likely, 0.25});
    c.tune(3, threads);
    EXPECT_EQ(machine_choices().find(c.key(threads))->microseconds, 0.25);
  }
  EXPECT_NE(conv(32, 64, 28, 3, 1, DType::f32).key(1), conv(32, 64, 28, 3, 1, DType::f32).key(2));
}

TEST(CpuTuner, StopsWhenItsTimeIsSpent) {
  cpu::Tuner tuner(device::open(Device::cpu()), {.level = 1});
  std::size_t noted = 0;
  for (std::int64_t columns = 1; columns <= 400; ++columns) {
    const Command c = matmul(512, 512 + columns, 512);
    c.bind(1, [&](const StepSpec& spec) {
      tuner.tune(spec);
      return nullptr;
    });
    noted += machine_choices().find(c.key()) ? 1 : 0;
    if (!machine_choices().find(c.key()) && (noted > 0 || columns == 8)) return;  // its time is spent, or nothing competes in this build
  }
  FAIL() << "no end after 400 commands";
}

TEST(CpuChoices, AreTaken) {
  const Command c = conv(32, 64, 27, 3, 1, DType::f32);
  ASSERT_EQ(c.kernels().names.front(), "winograd");
  machine_choices().set(c.key(), {"winograd:2", 7.5});
  EXPECT_EQ(c.kernels().names.front(), "winograd:2");
  EXPECT_EQ(c.kernels().microseconds, 7.5);
  CpuRun run({.fixed = {1}});
  run.make(c.op, c.attrs, c.inputs, {c.y}, cpu::step_maker());
  run.run();
  expect_near(c.y, expected(c), 3e-5);
}

TEST(CpuChoices, ThatNameWhatIsNotHereFallBack) {
  const Command c = conv(32, 64, 26, 3, 1, DType::f32);
  const auto before = c.kernels().names;
  for (const char* name : {"", "nothing", "winograd:3", "gemm_avx512:7m", "gemm_amx", "depthwise", "onednn:other", "cudnn:f12:2=3"}) {
    machine_choices().set(c.key(), {name, 1});
    EXPECT_EQ(c.kernels().names, before) << name;
    EXPECT_FALSE(c.kernels().microseconds) << name;
  }
}

TEST(CpuChoices, OfAnInstructionSetThatIsForbiddenFallBack) {
  if (machine_isa() < Isa::avx512) GTEST_SKIP() << "needs AVX-512";
  const Command c = matmul(64, 80, 96);
  const IsaScope scope("avx2");
  machine_choices().set(c.key(), {"gemm_avx512", 1});
  EXPECT_EQ(c.kernels().names.front(), "gemm_avx2");
}

TEST(CpuChoices, GoToTextAndBack) {
  const auto cpu = device::open(Device::cpu());
  const std::string key = matmul(64, 81, 96).key();
  EXPECT_EQ(add_choices(cpu, "reference\t2.5\t" + key + "\nno line\ngemm:1x1\t3\t2 Some GPU matmul\n"), 2U);
  EXPECT_EQ(machine_choices().find(key)->name, "reference");
  EXPECT_NE(choices(cpu).find("reference\t2.5\t" + key + "\n"), std::string::npos);
  EXPECT_EQ(choices(cpu).find("Some GPU"), std::string::npos);
}

}  // namespace
}  // namespace reprise::kernels::test
