// Opening models and the compile options that several verbs share.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "reprise/compile.h"
#include "reprise/module.h"
#include "reprise/program.h"
#include "reprise/runtime.h"

namespace reprise::cli {

/// --min/--opt/--max, --dtype, --device, --arch, --no-recompile, --allow-tf32, --fallback-ops, --min-block-size, --require-full-compilation, --threads,
/// --optimization-level, --packed-weights, --cuda-graph-strategy, --runtime-cache, --optimization-profile.
struct CompileFlags {
  std::vector<std::string> min, opt, max;
  std::string dtype = "f32", device, arch, runtime_cache;  // device: empty is the CPU, with an arch a GPU
  bool no_recompile = false;
  std::vector<std::string> fallback_ops;
  int min_block_size = 1;
  bool allow_tf32 = false;
  bool require_full_compilation = false, enable_weight_streaming = false, packed_weights = false;
  int threads = 0, optimization_level = 3;
  std::string cuda_graph_strategy = "disabled";
  std::string called_profile = "auto";

  void add_to(CLI::App& app);
  /// Throws CLI::ValidationError on text that is not a shape.
  [[nodiscard]] CompileOptions options(const Program& program) const;
};

bool is_program(const std::string& path);  // by content: .rpz archives hold a manifest.json

/// Compiles a `.pt2`, or loads a `.rpz`. With `progress` a bar on stderr when that is a terminal.
Module open_module(const std::string& path, const CompileFlags& flags, bool progress);

/// The scope of --optimization-profile, for verbs that call.
runtime::ModuleScope profile_scope(const Module& module, const CompileFlags& flags);

/// The same to look at: on a GPU's module nothing is compiled and no GPU is opened; it cannot be called.
Module open_closed_module(const std::string& path, const CompileFlags& flags);

}  // namespace reprise::cli
