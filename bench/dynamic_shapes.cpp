// A module with dynamic sizes beside modules of one size each: `bench_dynamic_shapes DYNAMIC.pt2 STATIC.pt2… [--threads N] [--dtype bf16]`. The static programs
// have the same inputs, of constant sizes. Calls take turns; prints the medians, and how many shapes the dynamic module bound: one for each static program.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "common/measures.h"
#include "reprise/reprise.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::vector<std::string> files;
  reprise::CompileOptions compile;
};

Options parse(int argc, char** argv) {
  Options options;
  options.compile.threads = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--threads" && i + 1 < argc)
      options.compile.threads = std::atoi(argv[++i]);
    else if (word == "--dtype" && i + 1 < argc)
      options.compile.dtype = reprise::parse_dtype(argv[++i]);
    else
      options.files.push_back(word);
  }
  return options;
}

std::vector<reprise::Tensor> inputs_of(const reprise::Module& module) {
  std::vector<reprise::Tensor> inputs;
  for (const auto& entry : module.inputs()) {
    auto& x = inputs.emplace_back(reprise::Tensor::zeros(entry.opt, entry.dtype));
    if (entry.dtype == reprise::DType::i64) std::fill_n(static_cast<std::int64_t*>(x.data()), x.numel(), std::int64_t{1});
  }
  return inputs;
}

double milliseconds_of(const reprise::Module& module, const std::vector<reprise::Tensor>& inputs) {
  const auto begin = Clock::now();
  module(inputs);
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

void compare(const reprise::Module& dynamic, const reprise::Module& fixed) {
  constexpr int kWarmUps = 3;
  const auto inputs = inputs_of(fixed);
  std::vector<double> of_dynamic, of_fixed;
  for (int i = -kWarmUps; i < 41; ++i) {
    const double a = milliseconds_of(dynamic, inputs), b = milliseconds_of(fixed, inputs);
    if (i < 0) continue;
    of_dynamic.push_back(a);
    of_fixed.push_back(b);
  }
  const double a = reprise::bench::median(of_dynamic), b = reprise::bench::median(of_fixed);
  fmt::print("{:>16}  dynamic {:9.3f} ms, static {:9.3f} ms, {:.2f} x, {} shapes bound\n", fmt::format("{}", fmt::join(inputs[0].sizes(), "x")), a, b, a / b,
             dynamic.stats().shapes_bound);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.files.size() < 2) {
    std::fputs("usage: bench_dynamic_shapes DYNAMIC.pt2 STATIC.pt2… [--threads N] [--dtype bf16]\n", stderr);
    return 2;
  }
  try {
    const auto dynamic = reprise::compile(reprise::load_program(options.files[0]), options.compile);
    for (std::size_t i = 1; i < options.files.size(); ++i) compare(dynamic, reprise::compile(reprise::load_program(options.files[i]), options.compile));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
