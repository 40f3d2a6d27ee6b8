// Batch sizes at random, recorded with and without buckets.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "modes/figures.h"
#include "modes/timing.h"

namespace reprise::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kCalls = 200;

std::vector<std::int64_t> buckets_of(const Subject& subject) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = subject.max_batch; size >= std::max<std::int64_t>(subject.min_batch, 1); size /= 4) sizes.insert(sizes.begin(), size);
  return sizes;
}

/// For each batch size of the program, by index from its smallest.
using ByBatch = std::vector<std::vector<Tensor>>;

/// The first `rows` rows on the host of what is dynamic in the batch, and behind them, up to `padded`, the first one again.
std::vector<Tensor> pad(const std::vector<Tensor>& inputs, std::int64_t rows, std::int64_t padded) {
  std::vector<Tensor> all;
  for (const Tensor& input : inputs) {
    const Tensor host = runtime::copy_to(input, Device::cpu());
    if (host.rank() == 0 || host.size(0) != rows) {
      all.push_back(input);
      continue;
    }
    auto sizes = host.sizes();
    sizes[0] = padded;
    const Tensor larger = Tensor::empty(sizes, host.dtype());
    const std::size_t row = host.nbytes() / static_cast<std::size_t>(rows);
    for (std::int64_t i = 0; i < padded; ++i)
      std::copy_n(host.data_as<std::byte>() + static_cast<std::size_t>(i < rows ? i : 0) * row, row,
                  larger.data_as<std::byte>() + static_cast<std::size_t>(i) * row);
    all.push_back(runtime::copy_to(larger, input.device()));
  }
  return all;
}

std::vector<Tensor> cut(const std::vector<Tensor>& results, std::int64_t rows) {
  std::vector<Tensor> all;
  for (const Tensor& result : results) {
    const Tensor host = runtime::copy_to(result, Device::cpu());
    auto sizes = host.sizes();
    sizes[0] = rows;
    all.push_back(host.as_strided(sizes, host.strides()).contiguous());
  }
  return all;
}

struct Passed {
  double first_us = 0, later_us = 0;  // a call, in the first pass, which records, and in later ones
  std::uint64_t records = 0, recording_bytes = 0, padded_rows = 0;
};

/// kCalls calls of sizes in a fixed random order, twice.
Passed pass(const Module& module, const ByBatch& inputs, const std::vector<std::int64_t>& buckets) {
  const auto graphs = runtime::enable_cudagraphs(module, {.buckets = buckets});
  const auto before = module.stats();
  const auto once = [&] {
    const auto begin = Clock::now();
    unsigned seed = 1;
    for (std::size_t i = 0; i < kCalls; ++i) {
      seed = seed * 1664525u + 1013904223u;
      (void)module(inputs[(seed >> 16) % inputs.size()]);
    }
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count() / kCalls;
  };
  Passed passed;
  passed.first_us = once();
  passed.later_us = once();
  const auto after = module.stats();
  passed.records = after.records - before.records;
  passed.recording_bytes = after.recording_bytes;
  passed.padded_rows = after.padded_rows - before.padded_rows;
  return passed;
}

/// Bucketed results beside those of the same sizes without buckets, and of the larger batch that the caller pads.
void compare_results(const Subject& subject, const ByBatch& inputs, const std::vector<std::int64_t>& buckets, const Settings& settings, Report& report) {
  const Module& module = subject.whole;
  std::size_t same = 0, same_as_padded = 0;
  double worst = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::int64_t rows = subject.min_batch + static_cast<std::int64_t>(i);
    const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), rows);
    const auto plain = results_of(module, inputs[i]), padded = cut(results_of(module, pad(inputs[i], rows, *bucket)), rows);
    const auto graphs = runtime::enable_cudagraphs(module, {.buckets = buckets});
    const auto bucketed = results_of(module, inputs[i]);
    same += same_bits(bucketed, plain);
    same_as_padded += same_bits(bucketed, padded);
    worst = std::max(worst, difference(bucketed, plain));
  }
  report.check(same_as_padded == inputs.size(), subject.name + ": bucketed results are not those of the larger batch");
  report.check(worst <= tolerance(settings), fmt::format("{}: bucketed results differ by {:.2g}", subject.name, worst));
  report.row("Results with buckets", subject.name, "subgraph",
             {{"batch sizes", fmt::format("{}", inputs.size())},
              {"same bits as without buckets", fmt::format("{}", same)},
              {"same bits as padded by the caller", fmt::format("{}", same_as_padded)},
              {"largest difference", fmt::format("{:.1g}", worst)}});
}

}  // namespace

void use_buckets(const Subject& subject, const Settings& settings, Report& report) {
  if (!subject.is_dynamic()) return;
  ByBatch inputs;
  for (std::int64_t batch = subject.min_batch; batch <= subject.max_batch; ++batch) inputs.push_back(make_inputs(subject.whole, batch, 5));
  const auto buckets = buckets_of(subject);
  for (const bool bucketed : {false, true}) {
    std::vector<double> first, later;
    Passed last;
    for (int round = 0; round < settings.rounds; ++round) {
      last = pass(subject.whole, inputs, bucketed ? buckets : std::vector<std::int64_t>{});
      first.push_back(last.first_us);
      later.push_back(last.later_us);
    }
    report.row("Batch sizes at random, 200 calls", subject.name, bucketed ? fmt::format("buckets {}", fmt::join(buckets, ", ")) : "subgraph",
               {{"records", fmt::format("{}", last.records)},
                {"bytes of recordings", fmt::format("{}", last.recording_bytes)},
                {"rows padded", fmt::format("{}", last.padded_rows)},
                {"call, first pass, us", number(least(first))},
                {"call, later, us", number(least(later))}});
  }
  compare_results(subject, inputs, buckets, settings, report);
}

}  // namespace reprise::bench
