// Every runtime mode's figures on one device: `bench_modes DEVICE PROGRAM.pt2… [options]`. Of each program: weight streaming, two shapes in turn, other tensors
// in every call, time by mode in one engine and with breaks, buckets, threads; and when asked for, memory under changes of modes. Ways take turns; a time is
// the median of the best round. Results are checked once they are timed; the status is 1 when one is wrong. Options:
//   --json, --seconds S (a kind of call, a round), --rounds N, --only FIGURE (streaming, shapes, addresses, modes, buckets, threads, changes; several times),
//   --changes N (of modes),
//   --break OP (instead of those that the form with breaks runs outside its engines; several times),
//   --threads N (in a call), --dtype D, --level N, --cache FILE, --packed-weights: of compilation.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "modes/figures.h"

namespace {

using namespace reprise;

struct Flags {
  std::vector<std::string> programs, only;
  bench::Settings settings;
  bool json = false;

  [[nodiscard]] bool wants(const std::string& figure) const { return only.empty() || std::find(only.begin(), only.end(), figure) != only.end(); }
};

Flags parse(int argc, char** argv) {
  Flags flags;
  auto& [compile, breaking_ops, seconds, rounds, changes] = flags.settings;
  compile.threads = 1;
  std::vector<std::string> breaks;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : throw std::invalid_argument(word + " needs a value"); };
    if (word == "--json")
      flags.json = true;
    else if (word == "--seconds")
      seconds = std::atof(value());
    else if (word == "--rounds")
      rounds = std::max(1, std::atoi(value()));
    else if (word == "--changes")
      changes = std::max(1, std::atoi(value()));
    else if (word == "--threads")
      compile.threads = std::atoi(value());
    else if (word == "--dtype")
      compile.dtype = parse_dtype(value());
    else if (word == "--level")
      compile.optimization_level = std::atoi(value());
    else if (word == "--cache")
      compile.runtime_cache_path = value();
    else if (word == "--packed-weights")
      compile.packed_weights = true;
    else if (word == "--break")
      breaks.emplace_back(value());
    else if (word == "--only")
      flags.only.emplace_back(value());
    else if (word.starts_with("--"))
      throw std::invalid_argument("no option " + word);
    else if (i == 1)
      compile.device = Device::parse(word);
    else
      flags.programs.push_back(word);
  }
  if (!breaks.empty()) breaking_ops = breaks;
  return flags;
}

void measure(const std::string& path, const Flags& flags, bench::Report& report) {
  const auto& settings = flags.settings;
  if (flags.wants("streaming")) bench::stream_weights(path, settings, report);
  if (flags.only == std::vector<std::string>{"streaming"}) return;
  if (flags.only == std::vector<std::string>{"changes"}) return bench::change_modes(path, settings, report);
  const auto subject = bench::make_subject(path, settings);
  if (flags.wants("shapes")) bench::alternate_shapes(subject, settings, report);
  if (flags.wants("addresses")) bench::change_addresses(subject, settings, report);
  if (flags.wants("modes")) bench::compare_modes(subject, settings, report);
  if (flags.wants("buckets")) bench::use_buckets(subject, settings, report);
  if (flags.wants("threads")) bench::call_from_threads(subject, settings, report);  // last: each thread leaves a context that keeps recordings of its own
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Flags flags = parse(argc, argv);
    if (flags.programs.empty()) throw std::invalid_argument("usage: bench_modes DEVICE PROGRAM.pt2… [options]");
    bench::Report report(flags.json);
    for (const auto& path : flags.programs) measure(path, flags, report);
    return report.finish() == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
