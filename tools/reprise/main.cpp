// reprise: compile, run and look at exported programs.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "reprise/error.h"
#include "verbs.h"

namespace {

using namespace reprise;

int report(const std::exception& e, int code) {
  std::string line = e.what();
  for (auto& c : line) {
    if (c == '\n') c = ' ';
  }
  std::fprintf(stderr, "reprise: %s\n", line.c_str());
  return code;
}

// Most derived kinds first. What `compile` refuses in its options is the command's fault, not the file's.
int run_guarded(const cli::Verb& verb) {
  try {
    return verb();
  } catch (const WriteError& e) {
    return report(e, cli::kCannotWrite);
  } catch (const DeviceError& e) {
    return report(e, cli::kDevice);
  } catch (const InvalidArgument& e) {
    return report(e, std::string_view(e.what()).starts_with("[compile/") ? cli::kUsage : cli::kBadInput);
  } catch (const Error& e) {
    return report(e, cli::kBadInput);
  } catch (const std::bad_alloc&) {
    return report(OutOfMemory("out of memory"), cli::kDevice);
  } catch (const std::exception& e) {
    return report(e, cli::kBadInput);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Inference compiler and runtime for torch.export programs", "reprise"};
  app.set_version_flag("--version", "reprise " REPRISE_VERSION);
  app.require_subcommand(1);
  app.failure_message(
      [](const CLI::App* failed, const CLI::Error& e) { return "reprise: " + std::string(e.what()) + " (see " + failed->get_name() + " --help)\n"; });
  struct Entry {
    CLI::App* app;
    cli::Verb verb;
  };
  std::vector<Entry> entries;
  const auto add = [&](const char* name, const char* help, cli::Verb (*make)(CLI::App&)) {
    auto* sub = app.add_subcommand(name, help);
    entries.push_back({sub, make(*sub)});
  };
  add("run", "Run a program or module and compare its results", cli::add_run);
  add("compile", "Compile a program into a module", cli::add_compile);
  add("inspect", "Show signature, graphs, plan and memory", cli::add_inspect);
  add("bench", "Time calls of a program or module", cli::add_bench);
  add("dryrun", "Tell what would run where, and why", cli::add_dryrun);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? cli::kOk : cli::kUsage;
  }
  for (const auto& entry : entries) {
    if (entry.app->parsed()) return run_guarded(entry.verb);
  }
  return cli::kUsage;
}
