// reprise compile: a program to a module file.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

#include "base/json.h"
#include "model.h"
#include "runtime/module_impl.h"
#include "verbs.h"

namespace reprise::cli {

namespace {

struct Flags {
  std::string model, output;
  bool json = false;
  CompileFlags compile;
};

int run(const Flags& flags) {
  const auto start = std::chrono::steady_clock::now();
  const auto module = open_module(flags.model, flags.compile, !flags.json);
  module.save(flags.output);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto& plan = *module.impl()->plan;
  std::size_t commands = 0;
  for (const auto& block : plan.blocks) commands += block.commands.size();
  const auto kernels = std::count_if(plan.sections.begin(), plan.sections.end(), [](const auto& s) { return s.name.ends_with(".cubin"); });
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(flags.output, ignored);
  if (flags.json) {
    base::JsonWriter json(true);
    json.begin_object().field("output", flags.output).field("bytes", ignored ? 0 : bytes).field("commands", commands).field("segments", plan.segments.size());
    json.field("profiles", plan.profiles.size()).field("arch", flags.compile.arch).field("kernels", kernels).field("seconds", seconds).end_object();
    fmt::print("{}\n", json.str());
  } else {
    fmt::print("{}: {} commands in {} segment{}, {}{:.1f} MB, {:.2f} s\n", flags.output, commands, plan.segments.size(), plan.segments.size() == 1 ? "" : "s",
               kernels > 0 ? fmt::format("{} kernels for {}, ", kernels, flags.compile.arch) : "", ignored ? 0.0 : static_cast<double>(bytes) / 1e6, seconds);
  }
  return kOk;
}

}  // namespace

Verb add_compile(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("model", flags->model, ".pt2 program")->required();
  app.add_option("-o,--output", flags->output, ".rpz to write")->required();
  app.add_flag("--json", flags->json, "Machine-readable output");
  flags->compile.add_to(app);
  return [flags] { return run(*flags); };
}

}  // namespace reprise::cli
