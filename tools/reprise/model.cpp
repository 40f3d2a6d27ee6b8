#include "model.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>

#include "api/compiler/build.h"
#include "api/compiler/program_impl.h"
#include "base/check.h"
#include "base/file.h"
#include "base/zip.h"
#include "plan/rpz.h"
#include "runtime/ahead.h"

namespace reprise::cli {

namespace {

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

std::vector<std::int64_t> parse_shape(const std::string& text, const std::string& whole) {
  std::vector<std::int64_t> shape;
  std::size_t at = 0;
  while (at <= text.size()) {
    const auto end = std::min(text.find('x', at), text.size());
    try {
      std::size_t used = 0;
      const auto part = text.substr(at, end - at);
      shape.push_back(std::stoll(part, &used));
      if (used != part.size()) throw std::invalid_argument(part);
    } catch (const std::exception&) {
      REPRISE_FAIL(InvalidArgument, "[compile/shape] '{}' is not a shape (want name=1x3x224x224)", whole);
    }
    at = end + 1;
  }
  return shape;
}

// One profile: "a=1x3,b=2" (inputs separated by commas).
Shapes parse_shapes(const std::string& text) {
  Shapes shapes;
  for (const auto& item : CLI::detail::split(text, ',')) {
    const auto equals = item.find('=');
    REPRISE_CHECK(equals != std::string::npos && equals > 0, InvalidArgument, "[compile/shape] '{}' is not a shape (want name=1x3x224x224)", item);
    shapes[item.substr(0, equals)] = parse_shape(item.substr(equals + 1), item);
  }
  return shapes;
}

// `values` of one flag by profile: the k-th mention of an input belongs to profile k.
std::vector<Shapes> by_profile(const std::vector<std::string>& values) {
  std::vector<Shapes> profiles;
  std::map<std::string, std::size_t> mentions;
  for (const auto& value : values) {
    for (auto& [name, shape] : parse_shapes(value)) {
      const auto k = mentions[name]++;
      if (profiles.size() <= k) profiles.resize(k + 1);
      profiles[k][name] = shape;
    }
  }
  return profiles;
}

void show_progress(std::string_view stage, int done, int total) {
  constexpr int kWidth = 24;
  const int filled = total > 0 ? done * kWidth / total : 0;
  std::fprintf(stderr, "\r[%s%s] %-28.*s", std::string(static_cast<std::size_t>(filled), '#').c_str(),
               std::string(static_cast<std::size_t>(kWidth - filled), ' ').c_str(), static_cast<int>(stage.size()), stage.data());
}

void clear_progress() { std::fprintf(stderr, "\r%60s\r", ""); }

}  // namespace

void CompileFlags::add_to(CLI::App& app) {
  app.add_option("--min", min, "Smallest shapes, e.g. x=1x3x224x224; again for another profile")->type_name("NAME=SHAPE");
  app.add_option("--opt", opt, "Shapes to tune for")->type_name("NAME=SHAPE");
  app.add_option("--max", max, "Largest shapes")->type_name("NAME=SHAPE");
  app.add_option("--dtype", dtype, "Weights and arithmetic: f32 (as exported), bf16 or f16")->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app.add_option("--device", device, "cpu[:N] or cuda[:N]; with --arch cuda, else cpu");
  app.add_option("--arch", arch, "Compile ahead of time for a GPU architecture, e.g. sm_90a; needs no GPU");
  app.add_flag("--no-recompile", no_recompile, "A module with kernels for another GPU architecture is an error");
  app.add_flag("--allow-tf32", allow_tf32, "A GPU may round factors of f32 products to tf32");
  app.add_option("--fallback-ops", fallback_ops, "ATen ops that run unfused")->delimiter(',');
  app.add_option("--min-block-size", min_block_size, "Engines of fewer ops are folded into the fallback beside them")->check(CLI::Range(1, 1000000));
  app.add_flag("--require-full-compilation", require_full_compilation, "Ops that fall back are an error");
  app.add_option("--threads", threads, "In one call; 0: all cores")->check(CLI::Range(0, 1024));
  app.add_option_function<std::string>("--cpu-isa", set_max_cpu_isa, "The most that CPU kernels use")
      ->check(CLI::IsMember({"plain", "avx2", "avx512", "avx512_bf16", "amx"}));
  app.add_option("--optimization-level", optimization_level, "How much is measured to choose kernels, 0 to 5")->check(CLI::Range(0, 5));
  app.add_option("--optimization-profile", called_profile, "Of calls: an index, or auto: the active one when it fits, else the first that does");
  app.add_flag("--enable-weight-streaming", enable_weight_streaming, "Weights may be left on the host (runtime modes)");
  app.add_flag("--packed-weights", packed_weights, "A saved module also holds weights as this processor's kernels want them");
  app.add_option("--cuda-graph-strategy", cuda_graph_strategy, "disabled, or whole_graph_capture: calls are recorded in every mode");
  app.add_option("--runtime-cache", runtime_cache, "File that keeps what was measured on the device");
}

CompileOptions CompileFlags::options(const Program& program) const {
  CompileOptions o;
  o.device = Device::parse(!device.empty() ? device : arch.empty() ? "cpu" : "cuda");
  o.arch = arch;
  o.dtype = parse_dtype(dtype);
  o.allow_tf32 = allow_tf32;
  o.fallback_ops = fallback_ops;
  o.min_block_size = min_block_size;
  o.require_full_compilation = require_full_compilation;
  o.threads = threads;
  o.optimization_level = optimization_level;
  o.enable_weight_streaming = enable_weight_streaming;
  o.packed_weights = packed_weights;
  o.cuda_graph_strategy = parse_cuda_graph_strategy(cuda_graph_strategy);
  o.runtime_cache_path = runtime_cache;
  const auto mins = by_profile(min), opts = by_profile(opt), maxs = by_profile(max);
  const auto shape = [](const std::vector<Shapes>& list, std::size_t k, const std::string& name) {
    const auto it = k < list.size() ? list[k].find(name) : Shapes::const_iterator{};
    return k < list.size() && it != list[k].end() ? it->second : std::vector<std::int64_t>{};
  };
  const auto known = program.inputs();
  for (std::size_t k = 0; k < std::max({mins.size(), opts.size(), maxs.size()}); ++k) {
    std::map<std::string, Input> inputs;
    for (const auto* list : {&mins, &opts, &maxs}) {
      if (k >= list->size()) continue;
      for (const auto& [name, unused] : (*list)[k])
        inputs[name] = {.min_shape = shape(mins, k, name), .opt_shape = shape(opts, k, name), .max_shape = shape(maxs, k, name), .name = name};
    }
    auto& profile = o.profiles.emplace_back();
    for (auto& [name, input] : inputs) profile.push_back(std::move(input));
  }
  return o;
}

bool is_program(const std::string& path) {
  const auto file = base::MappedFile::open(path);
  const base::ZipReader zip(file->bytes(), path, {.check_crc = false});
  return zip.find("manifest.json") == nullptr;
}

Module open_module(const std::string& path, const CompileFlags& flags, bool progress) {
  if (!is_program(path)) return Module::load(path, {.allow_recompile = !flags.no_recompile});
  const auto program = load_program(path);
  auto options = flags.options(program);
  const bool bar = progress && isatty(STDERR_FILENO) != 0;
  if (bar) options.progress = show_progress;
  auto module = compile(program, options);
  if (bar) clear_progress();
  return module;
}

runtime::ModuleScope profile_scope(const Module& module, const CompileFlags& flags) {
  if (flags.called_profile == "auto") return runtime::optimization_profile(module);
  int index = 0;
  const auto* end = flags.called_profile.data() + flags.called_profile.size();
  const auto [at, error] = std::from_chars(flags.called_profile.data(), end, index);
  REPRISE_CHECK(error == std::errc() && at == end && index >= 0, InvalidArgument, "[run/profile] '{}' is no optimization profile (want an index or auto)",
                flags.called_profile);
  return runtime::optimization_profile(module, index);
}

Module open_closed_module(const std::string& path, const CompileFlags& flags) {
  if (!is_program(path)) return runtime::make_closed_module(plan::load(path));
  const auto program = load_program(path);
  return runtime::make_closed_module(std::make_shared<plan::Plan>(api::build_plan(program.impl().program, flags.options(program))));
}

}  // namespace reprise::cli
