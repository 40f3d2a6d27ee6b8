// reprise dryrun: what would run where, and why.
#include "reprise/dryrun.h"

#include <fmt/format.h>

#include "model.h"
#include "reprise/error.h"
#include "verbs.h"

namespace reprise::cli {
namespace {

struct DryRunFlags {
  std::string model;
  bool json = false;
  CompileFlags compile;
};

int dry_run(const DryRunFlags& flags) {
  if (!is_program(flags.model))
    throw InvalidArgument("[dryrun/model] " + flags.model + " is a compiled module (want a .pt2 program): inspect shows its segments");
  const auto program = load_program(flags.model);
  const auto report = dryrun(program, flags.compile.options(program));
  fmt::print("{}", flags.json ? report.json() + "\n" : report.str());
  return kOk;
}

}  // namespace

Verb add_dryrun(CLI::App& app) {
  auto flags = std::make_shared<DryRunFlags>();
  app.add_option("model", flags->model, ".pt2 program")->required();
  app.add_flag("--json", flags->json, "Machine-readable output");
  flags->compile.add_to(app);
  return [flags] { return dry_run(*flags); };
}

}  // namespace reprise::cli
