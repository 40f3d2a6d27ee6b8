// Our side of cpu_peers.py: `bench_calls_on_request MODULE.rpz INPUTS.npz EXPECTED.npz` prints "ready", then for every number of seconds that it reads, a line
// of JSON: the median of the recorded calls that it made for so long, their error relative to the largest expected value, and what loading and the first call
// took.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "common/measures.h"
#include "reprise/reprise.h"

namespace {

using Clock = std::chrono::steady_clock;
using reprise::Tensor;

double since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

std::vector<Tensor> load(const std::string& path) {
  std::vector<Tensor> tensors;
  for (auto& [name, tensor] : reprise::load_npz(path)) tensors.push_back(std::move(tensor));
  return tensors;
}

double median_call(const reprise::Module& module, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, double seconds) {
  std::vector<double> times;
  for (const auto begin = Clock::now(); times.size() < 5 || since(begin) < seconds * 1e3;) {
    const auto start = Clock::now();
    module.run(inputs, outputs);
    times.push_back(since(start));
  }
  return reprise::bench::median(std::move(times));
}

void answer(const char* path, const std::vector<Tensor>& inputs, const std::vector<Tensor>& expected) {
  const auto start = Clock::now();
  const auto module = reprise::Module::load(path);
  const auto graphs = reprise::runtime::enable_cudagraphs(module);
  std::vector<Tensor> outputs;
  for (const auto& result : module(std::vector<reprise::Argument>(inputs.begin(), inputs.end()))) outputs.push_back(std::get<Tensor>(result));
  const double start_ms = since(start);
  for (int i = 0; i < 3; ++i) module.run(inputs, outputs);
  fmt::print("ready\n");
  std::fflush(stdout);
  for (double seconds = 0; std::cin >> seconds;) {
    const double ms = median_call(module, inputs, outputs, seconds);
    const double error = reprise::bench::difference(outputs, expected);
    fmt::print("{{\"ms\": {}, \"error\": {}, \"start_ms\": {}}}\n", ms, std::isfinite(error) ? fmt::to_string(error) : "Infinity", start_ms);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: bench_calls_on_request MODULE.rpz INPUTS.npz EXPECTED.npz\n", stderr);
    return 2;
  }
  try {
    answer(argv[1], load(argv[2]), load(argv[3]));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
