#include "reprise/compile.h"

#include "api/compiler/build.h"
#include "api/compiler/program_impl.h"
#include "api/compiler/registry.h"
#include "base/check.h"
#include "lower/lower.h"
#include "lower/profiles.h"
#include "lower/signature.h"
#include "partition/partition.h"
#include "passes/pipeline.h"
#include "runtime/ahead.h"
#include "runtime/module_impl.h"
#include "runtime/runtime_cache.h"
#include "runtime/tune.h"

namespace reprise {

namespace {

constexpr int kMaxThreads = 1024;

void check_options(const CompileOptions& o) {
  REPRISE_CHECK(o.inputs.empty() || o.profiles.empty(), InvalidArgument, "[compile/options] give `inputs` or `profiles`, not both");
  REPRISE_CHECK(o.dtype == DType::f32 || o.dtype == DType::bf16 || o.dtype == DType::f16, InvalidArgument,
                "[compile/options] dtype must be f32, bf16 or f16 (got {})", name(o.dtype));
  REPRISE_CHECK(o.optimization_level >= 0 && o.optimization_level <= 5, InvalidArgument, "[compile/options] optimization_level must lie in 0..5 (got {})",
                o.optimization_level);
  REPRISE_CHECK(o.arch.empty() || o.device.type == DeviceType::cuda, InvalidArgument, "[compile/options] arch is for GPUs (got '{}' for {}, want cuda)", o.arch,
                o.device.str());
  REPRISE_CHECK(!o.packed_weights || o.device.type == DeviceType::cpu, InvalidArgument, "[compile/options] packed_weights is for the CPU (got {})",
                o.device.str());
  REPRISE_CHECK(o.threads >= 0 && o.threads <= kMaxThreads, InvalidArgument, "[compile/options] threads must lie in 0..{} (got {})", kMaxThreads, o.threads);
}

plan::Settings settings(const CompileOptions& o) {
  return {.device = o.device,
          .dtype = o.dtype == DType::f32 ? "" : std::string(name(o.dtype)),
          .threads = o.threads,
          .optimization_level = o.optimization_level,
          .enable_weight_streaming = o.enable_weight_streaming,
          .packed_weights = o.packed_weights,
          .cuda_graph_strategy = o.cuda_graph_strategy == CudaGraphStrategy::disabled ? "" : name(o.cuda_graph_strategy),
          .fallback_ops = api::partition_options(o).fallback_ops};
}

std::vector<plan::Profile> profiles(const CompileOptions& o, const ir::Program& program, const ir::Graph& graph) {
  std::vector<int> input_entry;
  const auto specs = lower::input_specs(program, graph, input_entry);
  auto lists = o.profiles;
  if (lists.empty()) lists.push_back(o.inputs);
  std::vector<plan::Profile> made;
  for (const auto& list : lists) made.push_back(lower::make_profile(list, specs, graph.symbols));
  return made;
}

}  // namespace

namespace api {

partition::PartitionOptions partition_options(const CompileOptions& options) {
  auto fallback = options.fallback_ops;
  fallback.insert(fallback.end(), options.torch_executed_ops.begin(), options.torch_executed_ops.end());
  return {.fallback_ops = std::move(fallback), .min_block_size = options.min_block_size, .require_full_compilation = options.require_full_compilation};
}

namespace {

/// Again without a converter that failed, as long as others take its node.
ir::Graph convert_with_fallbacks(const ir::Program& program, const CompileOptions& options, const CompileRegistry& registry) {
  auto wanted = partition_options(options);
  std::exception_ptr first;
  for (;;) {
    const auto failures = registry.failures().count();
    const auto assignment = partition::partition(program, registry.get(), wanted).assignment;
    try {
      return ops::convert(program, registry.get(), assignment);
    } catch (const Error&) {
      if (first == nullptr) first = std::current_exception();
      if (options.pass_through_build_failures || registry.failures().count() == failures) std::rethrow_exception(first);
      wanted.failed = registry.failures().reasons();
      if (!ops::missing_converters(program, registry.get()).empty()) std::rethrow_exception(first);
    }
  }
}

}  // namespace

ir::Graph build_graph(const ir::Program& program, const CompileOptions& options, const ops::Registry& ours) {
  const CompileRegistry registry(program, options, ours);
  const auto progress = [&](std::string_view stage, int done, int total) {
    if (options.progress) options.progress(stage, done, total);
  };
  progress("partition", 0, 1);
  progress("convert", 0, 1);
  auto graph = convert_with_fallbacks(program, options, registry);
  passes::run_pipeline(graph, {.dtype = options.dtype,
                               .device = options.device.type,
                               .allow_tf32 = options.allow_tf32,
                               .threads = options.threads == 0 ? 1 : options.threads,
                               .progress = progress});
  return graph;
}

plan::Plan build_plan(const ir::Program& program, const CompileOptions& options, const ops::Registry& ours) {
  check_options(options);
  const auto graph = build_graph(program, options, ours);
  if (options.progress) options.progress("lower", 0, 1);
  auto plan = lower::lower(graph, program, settings(options), profiles(options, program, graph));
  plan::verify(plan);
  return plan;
}

}  // namespace api

Module compile(const Program& program, const CompileOptions& options) {
  auto plan = api::build_plan(program.impl().program, options);
  const LoadOptions foreign{.foreign_kernels = options.foreign_kernels};
  if (!options.arch.empty()) {
    const auto progress = [&](std::size_t done, std::size_t total) {
      if (options.progress) options.progress("kernels", static_cast<int>(done), static_cast<int>(total));
    };
    return runtime::compile_ahead(std::move(plan), options.arch, progress, foreign);
  }
  auto module = runtime::make_module(std::make_shared<plan::Plan>(std::move(plan)), foreign);
  const auto& device = module.impl()->device;
  const bool cached = !options.runtime_cache_path.empty();
  if (cached) runtime::load_runtime_cache(options.runtime_cache_path, device);
  runtime::tune(*module.impl(), [&](int done, int total) {
    if (options.progress) options.progress("tune", done, total);
  });
  if (cached) runtime::save_runtime_cache(options.runtime_cache_path, device);
  return module;
}

}  // namespace reprise
