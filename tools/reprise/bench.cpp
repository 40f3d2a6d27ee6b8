// reprise bench: how long calls take.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arguments.h"
#include "base/json.h"
#include "kernels/ahead.h"
#include "model.h"
#include "profile_view.h"
#include "reprise/error.h"
#include "reprise/runtime.h"
#include "runtime/device_tensor.h"
#include "runtime/modes.h"
#include "runtime/module_impl.h"
#include "verbs.h"

namespace reprise::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchFlags {
  std::string model;
  int iterations = 0, warmup = 3;
  double seconds = 2;
  std::uint64_t seed = 0;
  bool cudagraphs = false, profile = false, json = false;
  std::vector<std::string> modes;
  CompileFlags compile;
};

double since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

/// Milliseconds of each of many calls.
struct Times {
  std::string name;
  std::vector<double> sorted;

  [[nodiscard]] double mean() const { return std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size()); }
  /// The smallest time that `percent` of the calls do not exceed.
  [[nodiscard]] double percentile(double percent) const {
    const auto rank = static_cast<std::size_t>(percent / 100 * static_cast<double>(sorted.size()));
    return sorted[std::min(rank, sorted.size() - 1)];
  }
};

template <class F>
Times measure(std::string name, const BenchFlags& flags, F call) {
  for (int i = 0; i < flags.warmup; ++i) call();
  Times times{std::move(name), {}};
  const auto start = Clock::now();
  const auto more = [&] {
    const auto done = static_cast<int>(times.sorted.size());
    return flags.iterations > 0 ? done < flags.iterations : done < 10 || since(start) < flags.seconds * 1e3;
  };
  while (more()) {
    const auto before = Clock::now();
    call();
    times.sorted.push_back(since(before));
  }
  std::sort(times.sorted.begin(), times.sorted.end());
  return times;
}

/// The arguments as `Module::run` takes them: no constants, integers as 0-d tensors.
std::vector<Tensor> tensors_of(const std::vector<Argument>& arguments, const Module& module) {
  std::vector<Tensor> tensors;
  const auto entries = module.inputs();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (entries[i].kind == SignatureEntry::Kind::constant) continue;
    if (const auto* tensor = std::get_if<Tensor>(&arguments[i])) {
      tensors.push_back(*tensor);
    } else {
      tensors.push_back(Tensor::empty({}, DType::i64));
      *tensors.back().data_as<std::int64_t>() = std::get<std::int64_t>(arguments[i]);
    }
  }
  return tensors;
}

/// Tensors for `Module::run`; nullopt where a size depends on data.
std::optional<std::vector<Tensor>> make_outputs(const Module& module, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> outputs;
  try {
    for (const auto& entry : module.outputs())
      if (entry.kind == SignatureEntry::Kind::tensor)
        outputs.push_back(runtime::empty_tensor(module.impl()->device, module.output_sizes(inputs, outputs.size()), entry.dtype));
  } catch (const InvalidArgument&) {
    return std::nullopt;
  }
  return outputs;
}

/// Calls that do not wait: what each takes the host, and what a call takes in a row of them with one wait at the end.
std::vector<Times> measure_stream(const Module& module, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, const BenchFlags& flags) {
  constexpr int kRow = 50;
  const Stream stream(module.device());
  Times host{"enqueue: host", {}};
  Times rows = measure("enqueue: throughput", flags, [&] {
    for (int i = 0; i < kRow; ++i) {
      const auto before = Clock::now();
      module.enqueue(inputs, outputs, stream);
      host.sorted.push_back(since(before));
    }
    stream.synchronize();
  });
  for (double& time : rows.sorted) time /= kRow;
  std::sort(host.sorted.begin(), host.sorted.end());
  return {std::move(host), std::move(rows)};
}

/// What came before the calls that are timed.
struct Start {
  double load_ms = 0, first_ms = 0;
  kernels::ProgramCounts programs;
};

std::string to_json(const Start& begin, const std::vector<Times>& rows, const Module& module) {
  base::JsonWriter json(true);
  json.begin_object().field("load_ms", begin.load_ms).field("first_call_ms", begin.first_ms).field("compiled_programs", begin.programs.compiled);
  json.field("loaded_programs", begin.programs.loaded).field("library_ms", begin.programs.library_ms).key("latency_ms").begin_object();
  for (const Times& t : rows) {
    json.key(t.name).begin_object().field("calls", t.sorted.size()).field("mean", t.mean()).field("min", t.sorted.front());
    for (const double p : {50.0, 90.0, 99.0}) json.field(fmt::format("p{:.0f}", p), t.percentile(p));
    json.field("max", t.sorted.back()).field("calls_per_second", 1e3 / t.mean()).end_object();
  }
  const MemoryUse use = module.memory();
  json.end_object().key("memory").begin_object().field("weight_bytes", use.weight_bytes).field("slot_bytes", use.slot_bytes);
  json.field("pinned_bytes", use.pinned_bytes).field("state_bytes", use.state_bytes).field("arena_committed_bytes", use.arena_committed_bytes).end_object();
  return json.key("stats").raw(reprise::to_json(module.stats())).end_object().str();
}

void print(const Start& begin, const std::vector<Times>& rows) {
  fmt::print("load {:.3f} ms, first call {:.3f} ms", begin.load_ms, begin.first_ms);
  if (begin.programs.compiled + begin.programs.loaded > 0)
    fmt::print("; GPU programs: {} compiled, {} loaded; driver and libraries: {:.1f} ms", begin.programs.compiled, begin.programs.loaded,
               begin.programs.library_ms);
  fmt::print("\n");
  fmt::print("{:<24} {:>8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "milliseconds", "calls", "median", "mean", "min", "p90", "p99", "max",
             "calls/s");
  for (const Times& t : rows)
    fmt::print("{:<24} {:>8} {:>10.4f} {:>10.4f} {:>10.4f} {:>10.4f} {:>10.4f} {:>10.4f} {:>10.1f}\n", t.name, t.sorted.size(), t.percentile(50), t.mean(),
               t.sorted.front(), t.percentile(90), t.percentile(99), t.sorted.back(), 1e3 / t.mean());
}

constexpr std::string_view kStreaming = "streaming=";

bool streams(const BenchFlags& flags) {
  return std::any_of(flags.modes.begin(), flags.modes.end(), [](const std::string& mode) { return mode.starts_with(kStreaming); });
}

runtime::ModuleScope enter_streaming(const Module& module, std::string_view budget) {
  auto scope = runtime::weight_streaming(module);
  scope.set_device_budget(budget == "auto" ? scope.automatic_budget() : std::stoll(std::string(budget)));
  return scope;
}

/// Empty where `mode` is one.
std::string check_mode(const std::string& mode) {
  constexpr std::array kModes = {"standard", "subgraph", "whole", "native", "prealloc", "allocator"};
  if (std::find(kModes.begin(), kModes.end(), mode) != kModes.end()) return {};
  const std::string budget = mode.starts_with(kStreaming) ? mode.substr(kStreaming.size()) : "";
  const bool digits = !budget.empty() && budget.size() < 19 && std::all_of(budget.begin(), budget.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  return budget == "auto" || digits ? "" : fmt::format("{} is not one of {}, streaming=BYTES, streaming=auto", mode, fmt::join(kModes, ", "));
}

/// The modes of `--mode`, for as long as what is returned lives.
std::vector<runtime::ModuleScope> enter_modes(Module& module, const BenchFlags& flags) {
  std::vector<runtime::ModuleScope> scopes;
  runtime::set_cudagraphs_mode(flags.cudagraphs);
  for (const auto& mode : flags.modes) {
    if (mode == "native") module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture);
    if (mode == "prealloc") scopes.push_back(runtime::enable_pre_allocated_outputs(module));
    if (mode == "allocator") scopes.push_back(runtime::enable_output_allocator(module));
    if (mode.starts_with(kStreaming)) scopes.push_back(enter_streaming(module, std::string_view(mode).substr(kStreaming.size())));
    if (mode != "subgraph" && mode != "whole") continue;
    const auto id =
        runtime::open_cudagraphs_scope(mode == "whole" ? runtime::CudaGraphsMode::whole_graph_cudagraphs : runtime::CudaGraphsMode::subgraph_cudagraphs);
    scopes.emplace_back(module, [id] { runtime::close_cudagraphs_scope(id); });
  }
  return scopes;
}

int profile(const Module& module, const std::vector<Tensor>& inputs, const BenchFlags& flags) {
  constexpr int kCalls = 5;
  const auto commands = module.profile(inputs, flags.iterations > 0 ? flags.iterations : kCalls);
  if (!flags.json) {
    fmt::print("{}", profile_text(commands));
    return kOk;
  }
  base::JsonWriter json(true);
  json.begin_object();
  profile_json(json, commands);
  fmt::print("{}\n", json.end_object().str());
  return kOk;
}

int bench(const BenchFlags& flags) {
  auto start = Clock::now();
  auto compile = flags.compile;
  compile.enable_weight_streaming = compile.enable_weight_streaming || streams(flags);
  auto module = open_module(flags.model, compile, !flags.json);
  Start begin{.load_ms = since(start), .programs = {}};
  const auto scopes = enter_modes(module, flags);
  const auto optimization_profile = profile_scope(module, flags.compile);
  const auto arguments = random_arguments(*module.impl()->plan, flags.seed);
  if (flags.profile) return profile(module, tensors_of(arguments, module), flags);
  start = Clock::now();
  (void)module(arguments);
  begin.first_ms = since(start);
  begin.programs = kernels::program_counts(module.impl()->device);

  std::vector<Times> rows{measure("call", flags, [&] { (void)module(arguments); })};
  const auto inputs = tensors_of(arguments, module);
  if (const auto outputs = make_outputs(module, inputs)) {
    rows.push_back(measure("run", flags, [&] { module.run(inputs, *outputs); }));
    const auto bound = module.bind(inputs, *outputs);
    rows.push_back(measure("bound", flags, [&] { bound(); }));
    if (module.device().type != DeviceType::cpu)
      for (auto& times : measure_stream(module, inputs, *outputs, flags)) rows.push_back(std::move(times));
  }
  if (flags.json)
    fmt::print("{}\n", to_json(begin, rows, module));
  else
    print(begin, rows);
  return kOk;
}

}  // namespace

Verb add_bench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  app.add_option("model", flags->model, ".pt2 program or .rpz module")->required();
  app.add_option("--iterations", flags->iterations, "Calls that are timed; 0: as many as fit in --seconds, at least 10")->check(CLI::Range(0, 100000000));
  app.add_option("--seconds", flags->seconds, "For each kind of call")->check(CLI::Range(0.0, 1e6));
  app.add_option("--warmup", flags->warmup, "Calls before them")->check(CLI::Range(0, 1000000));
  app.add_option("--random", flags->seed, "Seed of the inputs");
  app.add_flag("--cudagraphs", flags->cudagraphs, "Record calls and replay them");
  app.add_option("--mode", flags->modes,
                 "standard, subgraph, whole, native (a recording of the module's own), prealloc, allocator, streaming=BYTES (weights that stay on the device; "
                 "auto: as many as fit); several go together")
      ->delimiter(',')
      ->check(CLI::Validator(check_mode, "MODE"));
  app.add_flag("--profile", flags->profile, "Time every command of a call instead");
  app.add_flag("--json", flags->json, "Machine-readable output");
  flags->compile.add_to(app);
  return [flags] { return bench(*flags); };
}

}  // namespace reprise::cli
