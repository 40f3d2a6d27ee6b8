// Programs with custom ops: converters and foreign kernels that users register.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "api/custom_kernels.h"
#include "models/comparison.h"
#include "temp_dir.h"

namespace reprise::testing_support {
namespace {

constexpr double kTolerance = 1e-5;

std::string stem(const std::string& program) { return std::string(REPRISE_TEST_MODELS) + "/custom/" + program; }
Program load(const std::string& program, const std::string& form = "") { return load_program(stem(program) + form + ".pt2"); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// REPRISE_TEST_DEVICE, the CPU without it.
Device tested_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}

std::vector<Argument> on_host(std::vector<Argument> results) {
  for (auto& result : results)
    if (auto* tensor = std::get_if<Tensor>(&result)) *tensor = runtime::copy_to(*tensor, Device::cpu());
  return results;
}

/// What the exported inputs give twice in a row.
void expect_right(const Module& module, const std::string& program) {
  const auto want = load_arrays(stem(program) + ".expected.npz"), inputs = load_arrays(stem(program) + ".inputs.npz");
  for (const char* name : {"output", "output2"}) {
    std::vector<Tensor> arguments;
    for (std::size_t i = 0; inputs.contains("input_" + std::to_string(i)); ++i) arguments.push_back(inputs.at("input_" + std::to_string(i)).clone());
    expect_outputs(on_host(module(arguments)), want, name, kTolerance);
  }
}

class CustomPrograms : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(CustomPrograms, RunByForeignKernels) {
  const auto [program, form] = GetParam();
  for (const bool process_wide : {false, true}) {
    CompileOptions options = {.device = tested_device()};
    if (process_wide)
      for (auto& kernel : all_kernels()) register_foreign_kernel(kernel);
    else
      options.foreign_kernels = all_kernels();
    const Module module = compile(load(program, form), options);
    for (const char* name : {"scale_shift", "describe", "accumulate_", "advance_", "positive"})
      EXPECT_EQ(unregister_foreign_kernel(std::string("mylib.") + name + ".default"), process_wide);
    expect_right(module, program);
  }
}

TEST_P(CustomPrograms, RunRecordedAndSaved) {
  const auto [program, form] = GetParam();
  const TempDir temp;
  const auto path = (temp / "custom.rpz").string();
  compile(load(program, form), {.device = tested_device(), .foreign_kernels = all_kernels()}).save(path);
  const Module module = Module::load(path, {.foreign_kernels = all_kernels()});
  const auto graphs = runtime::enable_cudagraphs(module);
  expect_right(module, program);
  EXPECT_GT(module.stats().warm_ups, 0u);
  EXPECT_GT(module.stats().replays, 0u);
  EXPECT_EQ(module.stats().unrecorded, 0u);
  EXPECT_EQ(module.requires_output_allocator(), std::string(program) == "positive");
}

TEST_P(CustomPrograms, RunInFallbackSegmentsToo) {
  const auto [program, form] = GetParam();
  CompileOptions options = {.device = tested_device(),
                            .fallback_ops = {"torch.ops.mylib.scale_shift.default", "mylib.accumulate_", "mylib.advance_"},
                            .foreign_kernels = all_kernels()};
  options.torch_executed_ops = {"torch.ops.mylib.positive", "higher_order.auto_functionalized", "higher_order.auto_functionalized_v2"};
  const auto report = dryrun(load(program, form), options);
  EXPECT_LT(report.coverage(), 1.0);
  const Module module = compile(load(program, form), options);
  const auto graphs = runtime::enable_cudagraphs(module);
  EXPECT_EQ(graphs.mode(), runtime::CudaGraphsMode::whole_graph_cudagraphs);
  expect_right(module, program);
}

TEST_P(CustomPrograms, AreRefusedByNameWithoutARegistration) {
  const auto [program, form] = GetParam();
  const auto message = message_of<UnsupportedOp>([&, p = program, f = form] { (void)compile(load(p, f)); });
  EXPECT_TRUE(has(message, "mylib.")) << message;  // inside of auto_functionalized too
  EXPECT_TRUE(has(message, "make_custom.py")) << message;
}

std::string name_of(const testing::TestParamInfo<CustomPrograms::ParamType>& info) {
  const std::string form = std::get<1>(info.param);
  return std::get<0>(info.param) + (form.empty() ? "" : "_" + form.substr(1));
}
INSTANTIATE_TEST_SUITE_P(All, CustomPrograms, testing::Combine(testing::Values("pure", "running", "advancing", "positive"), testing::Values("", ".core")),
                         name_of);
INSTANTIATE_TEST_SUITE_P(FirstForm, CustomPrograms, testing::Combine(testing::Values("running", "advancing"), testing::Values(".v1")), name_of);

// ---- converters ----

TEST(CustomConverters, BuildCoreOps) {
  std::vector<ForeignKernel> kernels = {describe_kernel()};
  const Module module = compile(load("pure"), {.require_full_compilation = true, .converters = {scale_shift_converter()}, .foreign_kernels = kernels});
  expect_right(module, "pure");
  // No kernel of that name is needed.
  const TempDir temp;
  module.save((temp / "pure.rpz").string());
  expect_right(Module::load((temp / "pure.rpz").string(), {.foreign_kernels = kernels}), "pure");
}

TEST(CustomConverters, AreRegisteredForTheProcessToo) {
  register_converter(scale_shift_converter());
  const Module module = compile(load("pure"), {.foreign_kernels = {describe_kernel()}});
  EXPECT_EQ(unregister_converters("mylib.scale_shift.default"), 1u);
  EXPECT_EQ(unregister_converters("mylib.scale_shift.default"), 0u);
  expect_right(module, "pure");
  EXPECT_THROW((void)compile(load("pure"), {.foreign_kernels = {describe_kernel()}}), UnsupportedOp);
}

/// One for mylib.scale_shift that notes that it was asked.
Converter noting(std::atomic<int>& asked, ConverterPriority priority = ConverterPriority::standard) {
  auto converter = scale_shift_converter();
  converter.priority = priority;
  converter.convert = [&asked, convert = converter.convert](ConversionContext& context) {
    ++asked;
    return convert(context);
  };
  return converter;
}

TEST(CustomConverters, AreAskedByPriorityThenTheNewest) {
  std::atomic<int> first = 0, second = 0, high = 0;
  auto kernel = scale_shift_kernel();
  kernel.priority = ConverterPriority::high;
  const std::vector<ForeignKernel> describe = {describe_kernel()}, both = {describe_kernel(), kernel};
  (void)compile(load("pure"), {.converters = {noting(first), noting(second)}, .foreign_kernels = describe});
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 2);
  (void)compile(load("pure"), {.converters = {noting(high, ConverterPriority::high), noting(second)}, .foreign_kernels = describe});
  EXPECT_EQ(high, 2);
  (void)compile(load("pure"), {.converters = {noting(first)}, .foreign_kernels = both});
  EXPECT_EQ(first, 0);
}

TEST(CustomConverters, AValidatorSeesTheNodeAndItsReasonIsReported) {
  auto converter = scale_shift_converter();
  std::vector<std::string> seen;
  converter.capability_validator = [&](const OpNode& node) -> std::optional<std::string> {
    const auto x = node.tensor_info("x");
    seen.push_back(node.target() + " " + std::string(name(x.dtype)) + " [" + x.sizes[0].str() + ", " + x.sizes[1].str() + "] " +
                   std::to_string(node.real("factor")) + (node.is_none("shift") ? " none" : " shift") + " " + node.outputs()[0].sizes[1].str());
    if (node.is_none("shift")) return "it wants a shift";
    return std::nullopt;
  };
  const auto report = dryrun(load("pure"), {.converters = {converter}, .foreign_kernels = {describe_kernel()}});
  EXPECT_EQ(seen,
            (std::vector<std::string>{"mylib.scale_shift.default f32 [s77, 6] 0.500000 shift 6", "mylib.scale_shift.default f32 [s77, 6] 2.000000 none 6"}));
  ASSERT_EQ(report.fallbacks.size(), 1u);
  EXPECT_EQ(report.fallbacks[0].reason, "mylib.scale_shift.default: it wants a shift");
  EXPECT_TRUE(has(report.json(), "it wants a shift"));
  const auto message = message_of<UnsupportedOp>([&] { (void)compile(load("pure"), {.converters = {converter}, .foreign_kernels = {describe_kernel()}}); });
  EXPECT_TRUE(has(message, "mylib.scale_shift.default: it wants a shift")) << message;
  expect_right(compile(load("pure"), {.converters = {converter}, .foreign_kernels = all_kernels()}), "pure");  // the kernel takes what it refuses
}

TEST(CustomConverters, AStaticOneIsNotAskedAboutDynamicNodes) {
  std::atomic<int> asked = 0;
  auto converter = noting(asked, ConverterPriority::high);
  converter.supports_dynamic_shapes = false;
  const auto report = dryrun(load("pure"), {.converters = {converter}, .foreign_kernels = {describe_kernel()}});
  ASSERT_EQ(report.fallbacks.size(), 2u);
  EXPECT_EQ(report.fallbacks[0].reason, "mylib.scale_shift.default: the converter does not support dynamic shapes");
  EXPECT_EQ(report.segments.size(), 5u);
  EXPECT_TRUE(has(report.str(), "advice: register one that supports_dynamic_shapes, or export with fixed sizes: mylib.scale_shift.default"));
  EXPECT_THROW((void)compile(load("pure"), {.converters = {converter}, .foreign_kernels = {describe_kernel()}}), UnsupportedOp);
  expect_right(compile(load("pure"), {.converters = {converter}, .foreign_kernels = all_kernels()}), "pure");
  EXPECT_EQ(asked, 0);
}

TEST(CustomConverters, OursMayBeReplacedByName) {
  for (const char* name : {"aten.relu.default", "torch.ops.aten.relu", "aten::relu"}) {
    int asked = 0;
    const Converter relu = {.schema = name,
                            .convert =
                                [&asked](ConversionContext& context) {
                                  ++asked;
                                  const Value x = context.value("self");
                                  return std::vector{context.builder().binary("maximum", x, 0.0)};
                                },
                            .supports_dynamic_shapes = true};
    expect_right(compile(load("pure"), {.converters = {relu}, .foreign_kernels = all_kernels()}), "pure");
    EXPECT_EQ(asked, 2) << name;
  }
  EXPECT_EQ(
      message_of<InvalidArgument>([] { register_converter({.schema = "mylib.nobody", .convert = [](ConversionContext&) { return std::vector<Value>(); }}); }),
      "[compile/converters] an op that Reprise does not know is registered by its schema (got 'mylib.nobody', want \"mylib::foo(Tensor x) -> Tensor\")");
  EXPECT_EQ(message_of<InvalidArgument>([] { register_converter({.schema = "aten.relu.default", .convert = {}}); }),
            "[compile/converters] 'aten.relu.default' has no function");
}

// ---- failed builds ----

Converter failing_relu(int& asked) {
  return {.schema = "aten.relu.default",
          .convert = [&asked](ConversionContext& context) -> std::vector<Value> {
            if (++asked > 1) throw std::runtime_error("no more of these");
            return {context.builder().binary("maximum", context.value("self"), 0.0)};
          },
          .supports_dynamic_shapes = true};
}

TEST(BuildFailures, FallBackToTheNextConverter) {
  int asked = 0;
  const Module module = compile(load("pure"), {.converters = {failing_relu(asked)}, .foreign_kernels = all_kernels()});
  expect_right(module, "pure");
  const auto graphs = runtime::enable_cudagraphs(module);
  EXPECT_EQ(graphs.mode(), runtime::CudaGraphsMode::whole_graph_cudagraphs);  // the node runs in a fallback segment
}

TEST(BuildFailures, ArePassedThroughWhenAskedForOrWhenNobodyElseTakesTheNode) {
  int asked = 0;
  CompileOptions options = {.pass_through_build_failures = true, .converters = {failing_relu(asked)}, .foreign_kernels = all_kernels()};
  const auto passed = message_of<InvalidArgument>([&] { (void)compile(load("pure"), options); });
  EXPECT_TRUE(has(passed, "[ops/aten.relu.default] the converter failed: no more of these, node 'relu")) << passed;
  asked = 0;
  options.pass_through_build_failures = false;
  options.require_full_compilation = true;
  const auto full = message_of<UnsupportedOp>([&] { (void)compile(load("pure"), options); });
  EXPECT_TRUE(has(full, "its converter failed: no more of these")) << full;
  auto lonely = scale_shift_converter();
  lonely.convert = [](ConversionContext& context) -> std::vector<Value> { return {context.builder().scalar(1.0, DType::i64)}; };
  const auto alone = message_of<InvalidArgument>([&] { (void)compile(load("pure"), {.converters = {lonely}, .foreign_kernels = {describe_kernel()}}); });
  EXPECT_TRUE(has(alone, "result 0 of the converter has the wrong dtype (got i64, want f32), node 'scale_shift'")) << alone;
  expect_right(compile(load("pure"), {.converters = {lonely}, .foreign_kernels = all_kernels()}), "pure");
}

// ---- foreign kernels at compile time ----

TEST(ForeignRows, WhatTheyInferMustAgreeWithTheExporter) {
  auto kernel = describe_kernel();
  kernel.infer = [](const OpNode&) { return std::vector<TensorInfo>{{DType::f32, {3}}, {DType::i64, {2}}}; };
  const auto message = message_of<ShapeError>([&] { (void)compile(load("pure"), {.foreign_kernels = {kernel, scale_shift_kernel()}}); });
  EXPECT_TRUE(has(message, "`infer` does not agree with the exporter about result 0 (got f32 [3], want f32 [2])")) << message;
}

TEST(ForeignRows, SizesFromDataAskForTheOutputAllocator) {
  auto kernel = positive_kernel();
  kernel.requires_output_allocator = false;
  kernel.host_sizes = {};
  const auto message = message_of<InvalidArgument>([&] { (void)compile(load("positive"), {.foreign_kernels = {kernel}}); });
  EXPECT_TRUE(has(message, "sizes of its results depend on data (u0), and the foreign kernel does not say requires_output_allocator")) << message;
}

TEST(ForeignRows, AKernelWithoutAFunctionForTheDeviceIsRefused) {
  auto kernel = scale_shift_kernel();
  kernel.cuda = std::exchange(kernel.host, {});
  const auto message = message_of<UnsupportedOp>([&] { (void)compile(load("pure"), {.foreign_kernels = {kernel, describe_kernel()}}); });
  EXPECT_TRUE(has(message, "the foreign kernel 'mylib.scale_shift.default' has no function for cpu")) << message;
}

TEST(ForeignRows, KeepTheExportedDtypesWhereTheRestIsNarrowed) {
  const Module module = compile(load("pure"), {.dtype = DType::bf16, .foreign_kernels = all_kernels()});
  const auto want = load_arrays(stem("pure") + ".expected.npz"), inputs = load_arrays(stem("pure") + ".inputs.npz");
  expect_outputs(module(std::vector<Tensor>{inputs.at("input_0")}), want, "output", 4e-2);
}

TEST(ForeignRows, ThreadsRegisterWhileOthersCompile) {
  std::atomic<bool> done = false;
  std::thread registering([&] {
    while (!done) {
      register_converter(scale_shift_converter());
      register_foreign_kernel(describe_kernel());
      (void)unregister_converters("mylib.scale_shift.default");
      (void)unregister_foreign_kernel("mylib.describe.default");
    }
  });
  {
    std::vector<std::jthread> compiling;
    for (int t = 0; t < 2; ++t)
      compiling.emplace_back([] {
        for (int i = 0; i < 5; ++i) expect_right(compile(load("pure"), {.foreign_kernels = all_kernels()}), "pure");
      });
  }
  done = true;
  registering.join();
}

}  // namespace
}  // namespace reprise::testing_support
