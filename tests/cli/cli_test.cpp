// The command line as its users call it: results, comparisons, exit codes, and one clear line for everything that can be wrong.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>

#include "reprise/reprise.h"
#include "temp_dir.h"

namespace reprise::testing_support {
namespace {

struct Outcome {
  int code = -1;
  std::string text;  // both streams
};

Outcome reprise(const std::string& arguments) {
  Outcome run;
  auto* pipe = ::popen((std::string(REPRISE_CLI) + " " + arguments + " 2>&1").c_str(), "r");
  std::array<char, 4096> part;
  while (const auto n = std::fread(part.data(), 1, part.size(), pipe)) run.text.append(part.data(), n);
  const int status = ::pclose(pipe);
  run.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
  return run;
}

std::string model(const std::string& file) { return std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/" + file; }

Tensor filled(const std::vector<std::int64_t>& sizes, float value) {
  auto t = Tensor::empty(sizes, DType::f32);
  std::fill_n(t.data_as<float>(), t.numel(), value);
  return t;
}

class Cli : public testing::Test {
 protected:
  std::string inputs(const std::vector<std::pair<std::string, Tensor>>& arrays) {
    const auto path = (temp_ / "in.npz").string();
    save_npz(path, arrays);
    return path;
  }
  static void expect_refusal(const Outcome& run, int code, const std::string& text) {
    EXPECT_EQ(run.code, code) << run.text;
    EXPECT_NE(run.text.find(text), std::string::npos) << run.text;
    EXPECT_TRUE(run.text.starts_with("reprise: ")) << run.text;
    EXPECT_EQ(std::count(run.text.begin(), run.text.end(), '\n'), 1) << run.text;
  }
  TempDir temp_;
};

TEST_F(Cli, ComparesWithAReference) {
  const auto run = reprise("run " + model("convnet.pt2") + " --inputs " + model("convnet.inputs.npz") + " --expect " + model("convnet.expected.npz"));
  EXPECT_EQ(run.code, 0) << run.text;
  EXPECT_NE(run.text.find("output_0"), std::string::npos);
  EXPECT_NE(run.text.find("max abs"), std::string::npos);
}

TEST_F(Cli, ExitsWithOneWhenOutOfTolerance) {
  const auto run = reprise("run " + model("convnet.pt2") + " --random 3 --expect " + model("convnet.expected.npz"));
  EXPECT_EQ(run.code, 1) << run.text;
  EXPECT_NE(run.text.find("out of tolerance"), std::string::npos);
  EXPECT_EQ(reprise("run " + model("convnet.pt2") + " --random 3 --atol 1e6 --expect " + model("convnet.expected.npz")).code, 0);
}

TEST_F(Cli, ComparesTheSecondCallOfAStatefulProgram) {
  const auto run = reprise("run " + model("state.pt2") + " --inputs " + model("state.inputs.npz") + " --expect " + model("state.expected.npz"));
  EXPECT_EQ(run.code, 0) << run.text;
  EXPECT_NE(run.text.find("output2_1"), std::string::npos);
}

TEST_F(Cli, WritesOutputsThatItReadsBack) {
  const auto out = (temp_ / "out.npz").string();
  ASSERT_EQ(reprise("run " + model("shared.pt2") + " --inputs " + model("shared.inputs.npz") + " --outputs " + out).code, 0);
  EXPECT_EQ(reprise("run " + model("shared.pt2") + " --rtol 0 --inputs " + model("shared.inputs.npz") + " --expect " + out).code, 0);
}

TEST_F(Cli, RandomInputsAreReproducibleAndValid) {
  const auto out = (temp_ / "out.npz").string();
  ASSERT_EQ(reprise("run " + model("shared.pt2") + " --random 5 --outputs " + out).code, 0);  // an embedding: token ids must be in range
  EXPECT_EQ(reprise("run " + model("shared.pt2") + " --random 5 --rtol 0 --expect " + out).code, 0);
}

TEST_F(Cli, CompilesAndRunsAModule) {
  const auto rpz = (temp_ / "m.rpz").string();
  const auto compiled = reprise("compile " + model("dynamic.pt2") + " -o " + rpz + " --min x=1x2x32 --opt x=3x5x32 --max x=8x16x32 --json");
  EXPECT_EQ(compiled.code, 0) << compiled.text;
  EXPECT_NE(compiled.text.find("\"profiles\": 1"), std::string::npos) << compiled.text;
  EXPECT_EQ(reprise("run " + rpz + " --inputs " + model("dynamic.inputs.npz") + " --expect " + model("dynamic.expected.npz")).code, 0);
}

TEST_F(Cli, SeveralProfilesByRepeatingAnInput) {
  const auto rpz = (temp_ / "m.rpz").string();
  const auto run = reprise("compile " + model("dynamic.pt2") + " -o " + rpz + " --max x=8x16x32 --max x=64x16x32 --min x=1x2x32 --min x=1x2x32 --json");
  EXPECT_EQ(run.code, 0) << run.text;
  EXPECT_NE(run.text.find("\"profiles\": 2"), std::string::npos) << run.text;
}

TEST_F(Cli, Bf16StaysNearF32) {
  const auto run =
      reprise("run " + model("dynamic.pt2") + " --dtype bf16 --inputs " + model("dynamic.inputs.npz") + " --expect " + model("dynamic.expected.npz"));
  EXPECT_EQ(run.code, 0) << run.text;
}

std::string on_operator(const std::string& name, const std::string& flags) {
  const auto stem = std::string(REPRISE_TEST_MODELS) + "/ops/" + name;
  return "run " + stem + ".pt2 --inputs " + stem + ".inputs.npz --expect " + (flags.starts_with("/") ? flags : stem + ".expected.npz " + flags);
}

TEST_F(Cli, Bf16ResultsAreComparedAsSuch) {
  const auto run = reprise(on_operator("narrow_dropout", ""));  // differs from PyTorch by one rounding of bf16
  EXPECT_EQ(run.code, 0) << run.text;
  EXPECT_NE(run.text.find("bf16"), std::string::npos) << run.text;
  EXPECT_EQ(reprise(on_operator("narrow_dropout", "--rtol 1e-4")).code, 1);
}

TEST_F(Cli, RelativeTolerancesAreNotForIntegers) {
  auto arrays = load_npz(std::string(REPRISE_TEST_MODELS) + "/ops/integer_contractions.expected.npz");
  ASSERT_EQ(arrays.at(0).second.dtype(), DType::i64);
  arrays[0].second = arrays[0].second.contiguous();
  arrays[0].second.data_as<std::int64_t>()[0] += 1;
  const auto reference = (temp_ / "expected.npz").string();
  save_npz(reference, arrays);
  EXPECT_EQ(reprise(on_operator("integer_contractions", reference + " --rtol 10")).code, 1);
  EXPECT_EQ(reprise(on_operator("integer_contractions", reference + " --atol 1")).code, 0);
}

TEST_F(Cli, InspectShowsEveryView) {
  EXPECT_NE(reprise("inspect " + model("dynamic.pt2")).text.find("s77 in 1..64"), std::string::npos);
  EXPECT_NE(reprise("inspect --graph " + model("dynamic.pt2")).text.find("aten.layer_norm.default"), std::string::npos);
  EXPECT_NE(reprise("inspect --core " + model("dynamic.pt2")).text.find("attention"), std::string::npos);
  EXPECT_NE(reprise("inspect --plan " + model("dynamic.pt2")).text.find("matmul"), std::string::npos);
  EXPECT_NE(reprise("inspect --memory " + model("dynamic.pt2")).text.find("arena"), std::string::npos);
  EXPECT_NE(reprise("inspect --json " + model("dynamic.pt2")).text.find("\"peak_live\""), std::string::npos);
}

TEST_F(Cli, SavesPackedWeights) {
  const auto rpz = (temp_ / "m.rpz").string(), forms = std::string("packed weights");
  ASSERT_EQ(reprise("compile " + model("dynamic.pt2") + " --packed-weights -o " + rpz).code, 0);
  const auto here = reprise("inspect " + rpz);
  if (here.text.find(forms) == std::string::npos) GTEST_SKIP() << "no kernel of this build and instruction set packs weights";
  EXPECT_NE(here.text.find("used here"), std::string::npos) << here.text;
  EXPECT_EQ(here.text.find("not used here"), std::string::npos) << here.text;
  EXPECT_NE(reprise("inspect --json " + rpz).text.find("\"used_here\": true"), std::string::npos);
  EXPECT_NE(reprise("inspect --cpu-isa plain " + rpz).text.find("not used here"), std::string::npos);
  const auto inputs = " --inputs " + model("dynamic.inputs.npz") + " --expect " + model("dynamic.expected.npz");
  EXPECT_EQ(reprise("run " + rpz + inputs).code, 0);
  EXPECT_EQ(reprise("run " + rpz + inputs + " --cpu-isa plain").code, 0);
  expect_refusal(reprise("compile " + model("dynamic.pt2") + " --packed-weights --device cuda -o " + rpz), 2, "packed_weights is for the CPU");
}

TEST_F(Cli, CompilesForAnArchitectureWithoutAGpu) {
  const auto rpz = (temp_ / "m.rpz").string();
  const auto run = reprise("compile " + model("state.pt2") + " --arch sm_80 -o " + rpz + " --json");
  if (run.code == 4) GTEST_SKIP() << run.text;  // a build without the CUDA half, or NVRTC is missing
  EXPECT_EQ(run.code, 0) << run.text;
  EXPECT_NE(run.text.find("\"arch\": \"sm_80\""), std::string::npos) << run.text;
  EXPECT_EQ(run.text.find("\"kernels\": 0"), std::string::npos) << run.text;
  const auto summary = reprise("inspect " + rpz);
  EXPECT_NE(summary.text.find("cuda:0"), std::string::npos) << summary.text;
  const auto plan = reprise("inspect --plan " + rpz);
  EXPECT_EQ(plan.code, 0) << plan.text;
  EXPECT_NE(plan.text.find("kernels at the first profile's opt shapes"), std::string::npos) << plan.text;
  expect_refusal(reprise("compile " + model("state.pt2") + " --arch sm_1 -o " + rpz), 2, "want one of sm_80");
  EXPECT_EQ(reprise("inspect --plan " + model("convnet.pt2") + " --arch sm_90a").code, 0);
}

TEST_F(Cli, ShowsWhatEachCommandBecomes) {
  const auto text = reprise("inspect --plan " + model("state.pt2"));
  EXPECT_NE(text.text.find("reference"), std::string::npos) << text.text;
  const auto json = reprise("inspect --plan --json " + model("state.pt2"));
  EXPECT_EQ(json.code, 0) << json.text;
  for (const char* part : {"\"commands\": [", "\"op\": \"index_put\"", "\"reference\"", "\"microseconds\": null"})
    EXPECT_NE(json.text.find(part), std::string::npos) << json.text;
  expect_refusal(reprise("compile " + model("convnet.pt2") + " --device cpu --arch sm_80 -o " + (temp_ / "m.rpz").string()), 2, "arch is for GPUs");
}

TEST_F(Cli, BenchTimesPlainCallsAndCallsIntoOwnedOutputs) {
  const auto both = reprise("bench " + model("dynamic.pt2") + " --iterations 7 --json");
  EXPECT_EQ(both.code, 0) << both.text;
  for (const char* part : {"\"first_call_ms\"", "\"compiled_programs\": 0", "\"call\": {", "\"run\": {", "\"calls\": 7", "\"p99\"", "\"stats\": {"})
    EXPECT_NE(both.text.find(part), std::string::npos) << both.text;
  const auto data_dependent = reprise("bench " + model("data_dependent.pt2") + " --iterations 2 --json");
  EXPECT_EQ(data_dependent.code, 0) << data_dependent.text;
  EXPECT_EQ(data_dependent.text.find("\"run\""), std::string::npos) << data_dependent.text;
}

TEST_F(Cli, BenchProfilesEveryCommand) {
  const auto text = reprise("bench --profile " + model("state.pt2"));
  EXPECT_EQ(text.code, 0) << text.text;
  for (const char* part : {"commands one by one", "by op and kernel", "index_put", "reference", "%"})
    EXPECT_NE(text.text.find(part), std::string::npos) << text.text;
  const auto json = reprise("bench --profile --iterations 3 --json " + model("data_dependent.pt2"));
  EXPECT_EQ(json.code, 0) << json.text;
  for (const char* part : {"\"commands\": [", "\"by_kernel\": [", "\"runs\": 1", "\"share\"", "\"op\": \"nonzero\""})
    EXPECT_NE(json.text.find(part), std::string::npos) << json.text;
}

TEST_F(Cli, DryRunTellsWhatFallsBack) {
  const auto run = reprise("dryrun " + model("convnet.pt2") + " --fallback-ops aten.silu");
  EXPECT_EQ(run.code, 0) << run.text;
  EXPECT_NE(run.text.find("is in fallback_ops"), std::string::npos) << run.text;
  EXPECT_NE(reprise("dryrun --json " + model("convnet.pt2")).text.find("\"coverage\": 1"), std::string::npos);
  const auto compare = " --inputs " + model("convnet.inputs.npz") + " --expect " + model("convnet.expected.npz");
  EXPECT_EQ(reprise("run " + model("convnet.pt2") + compare + " --fallback-ops aten.silu --min-block-size 3").code, 0);
  expect_refusal(reprise("run " + model("convnet.pt2") + compare + " --fallback-ops aten.silu --require-full-compilation"), 3, "aten.silu");
}

// ---- bad input --------------------------------------------------------------------------------------------------------------------------

TEST_F(Cli, BadModels) {
  expect_refusal(reprise("run /no/such/model.pt2"), 3, "/no/such/model.pt2");
  expect_refusal(reprise("run " + temp_.write("a.pt2", "not a zip at all").string()), 3, "a.pt2");
  expect_refusal(reprise("run " + temp_.write("empty.pt2", "").string()), 3, "empty.pt2");
  expect_refusal(reprise("inspect --core " + temp_.path().string()), 3, temp_.path().string());
}

TEST_F(Cli, WrongDtypeRankSizeAndCount) {
  const auto run = [&](const std::vector<std::pair<std::string, Tensor>>& arrays) {
    return reprise("run " + model("dynamic.pt2") + " --inputs " + inputs(arrays));
  };
  expect_refusal(run({{"input_0", filled({2, 4, 32}, 1).to(DType::f64)}}), 3, "f64");
  expect_refusal(run({{"input_0", filled({2, 4}, 1)}}), 3, "rank");
  expect_refusal(run({{"input_0", filled({65, 4, 32}, 1)}}), 3, "65");
  expect_refusal(run({{"input_0", filled({2, 4, 31}, 1)}}), 3, "31");
  expect_refusal(run({}), 3, "no array 'input_0' or 'x'");
  expect_refusal(run({{"input_0", filled({2, 4, 32}, 1)}, {"input_1", filled({1}, 1)}}), 3, "array 'input_1' belongs to no input");
}

TEST_F(Cli, InputsByNameEmptyAndNotFinite) {
  EXPECT_EQ(reprise("run " + model("dynamic.pt2") + " --inputs " + inputs({{"x", filled({2, 4, 32}, 1)}})).code, 0);
  const auto nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  auto x = filled({4, 3}, 1);
  x.data_as<float>()[0] = nan;
  x.data_as<float>()[5] = inf;
  EXPECT_EQ(reprise("run " + model("cond.pt2") + " --inputs " + inputs({{"x", x}})).code, 0);
}

TEST_F(Cli, WrongConstantInputs) {
  auto arrays = load_npz(model("shared.inputs.npz"));
  for (auto& [name, array] : arrays) {
    if (name == "input_2") *array.data_as<bool>() = true;
  }
  expect_refusal(reprise("run " + model("shared.pt2") + " --inputs " + inputs(arrays)), 3, "flip");
}

TEST_F(Cli, UnwritableOutputsAndFullDisks) {
  expect_refusal(reprise("run " + model("cond.pt2") + " --outputs /no/such/folder/out.npz"), 5, "/no/such/folder");
  expect_refusal(reprise("run " + model("cond.pt2") + " --outputs /dev/full"), 5, "/dev/full");
  expect_refusal(reprise("compile " + model("cond.pt2") + " -o /dev/full"), 5, "/dev/full");
}

TEST_F(Cli, DevicesAndUsage) {
  expect_refusal(reprise("run " + model("cond.pt2") + " --device cuda:99"), 4, "CUDA");
  EXPECT_EQ(reprise("run " + model("cond.pt2") + " --device cpu:1").code, 0);
  EXPECT_EQ(reprise("").code, 2);
  EXPECT_EQ(reprise("run").code, 2);
  EXPECT_EQ(reprise("run " + model("cond.pt2") + " --no-such-option").code, 2);
  EXPECT_EQ(reprise("run " + model("cond.pt2") + " --dtype f8").code, 2);
  expect_refusal(reprise("compile " + model("dynamic.pt2") + " -o x.rpz --max x=1xtwo"), 2, "is not a shape");
  expect_refusal(reprise("compile " + model("dynamic.pt2") + " -o x.rpz --max x=99x2x32"), 2, "outside the exported range");
  expect_refusal(reprise("compile " + model("dynamic.pt2") + " -o x.rpz --max y=1x2x32"), 2, "no input is named 'y'");
  EXPECT_EQ(reprise("--version").code, 0);
}

TEST_F(Cli, NewerFormatsAreRefusedByName) {
  const auto rpz = (temp_ / "m.rpz").string();
  ASSERT_EQ(reprise("compile " + model("cond.pt2") + " -o " + rpz).code, 0);
  expect_refusal(reprise("inspect --graph " + rpz), 3, "need the .pt2");
}

}  // namespace
}  // namespace reprise::testing_support
