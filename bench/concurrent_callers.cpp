// How calls of one module from several threads scale: `bench_concurrent_callers MODEL.rpz|MODEL.pt2 [CALLERS=2] [SECONDS=2] [THREADS=1]`. Each caller runs
// into tensors of its own; THREADS inside a call. Prints calls per second for 1 … CALLERS and the factor over one caller.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "reprise/reprise.h"

namespace {

using Clock = std::chrono::steady_clock;

reprise::Module load(const std::string& path, int threads) {
  if (path.ends_with(".rpz")) return reprise::Module::load(path);
  reprise::CompileOptions options;
  options.threads = threads;
  return reprise::compile(reprise::load_program(path), options);
}

std::vector<reprise::Tensor> make_inputs(const reprise::Module& module) {
  std::vector<reprise::Tensor> inputs;
  for (const auto& entry : module.inputs())
    if (entry.kind != reprise::SignatureEntry::Kind::constant)
      inputs.push_back(
          reprise::Tensor::zeros(entry.kind == reprise::SignatureEntry::Kind::integer ? std::vector<std::int64_t>{} : entry.opt, entry.dtype, module.device()));
  return inputs;
}

std::vector<reprise::Tensor> make_outputs(const reprise::Module& module, const std::vector<reprise::Tensor>& inputs) {
  std::vector<reprise::Tensor> outputs;
  for (const auto& entry : module.outputs())
    if (entry.kind == reprise::SignatureEntry::Kind::tensor)
      outputs.push_back(reprise::Tensor::empty(module.output_sizes(inputs, outputs.size()), entry.dtype, module.device()));
  return outputs;
}

double calls_per_second(const reprise::Module& module, int callers, double seconds) {
  std::atomic<int> ready = 0;
  std::atomic<bool> go = false, stop = false;
  std::atomic<long> calls = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i)
    threads.emplace_back([&] {
      const auto inputs = make_inputs(module);
      const auto outputs = make_outputs(module, inputs);
      module.run(inputs, outputs);
      ++ready;
      while (!go) std::this_thread::yield();
      long mine = 0;
      for (; !stop; ++mine) module.run(inputs, outputs);
      calls += mine;
    });
  while (ready < callers) std::this_thread::yield();
  const auto begin = Clock::now();
  go = true;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& thread : threads) thread.join();
  return static_cast<double>(calls) / std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: bench_concurrent_callers MODEL.rpz|MODEL.pt2 [CALLERS] [SECONDS] [THREADS]\n", stderr);
    return 2;
  }
  try {
    const auto module = load(argv[1], argc > 4 ? std::atoi(argv[4]) : 1);
    const int most = argc > 2 ? std::atoi(argv[2]) : 2;
    const double seconds = argc > 3 ? std::atof(argv[3]) : 2;
    double one = 0;
    for (int callers = 1; callers <= most; ++callers) {
      const double rate = calls_per_second(module, callers, seconds);
      if (callers == 1) one = rate;
      fmt::print("{} caller{}: {:.1f} calls/s, {:.2f} x one\n", callers, callers == 1 ? " " : "s", rate, rate / one);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
