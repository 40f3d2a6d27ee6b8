// The verbs of the command line: each adds its options to the parser and returns what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace reprise::cli {

enum ExitCode : int { kOk = 0, kMismatch = 1, kUsage = 2, kBadInput = 3, kDevice = 4, kCannotWrite = 5 };

/// Runs after parsing; returns the exit code.
using Verb = std::function<int()>;

Verb add_run(CLI::App& app);
Verb add_compile(CLI::App& app);
Verb add_inspect(CLI::App& app);
Verb add_bench(CLI::App& app);
Verb add_dryrun(CLI::App& app);

}  // namespace reprise::cli
