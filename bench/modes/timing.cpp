#include "modes/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace reprise::bench {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) { return std::chrono::duration<double, std::micro>(Clock::now() - begin).count(); }

double host_time_of(const std::function<void(const Stream&)>& enqueue, Device device, const Settings& settings) {
  constexpr int kRow = 50;  // fewer than a GPU's queue holds
  const Stream stream(device);
  enqueue(stream);
  stream.synchronize();
  std::vector<double> times;
  const auto begin = Clock::now();
  const auto more = [&] { return times.size() < 3 || microseconds_since(begin) < settings.seconds * 1e6; };
  while (more()) {
    for (int i = 0; i < kRow && more(); ++i) {
      const auto before = Clock::now();
      enqueue(stream);
      times.push_back(microseconds_since(before));
    }
    stream.synchronize();
  }
  return median(std::move(times));
}

struct Samples {
  std::vector<double> call, run, host;
};

void take(Samples& samples, const Calls& calls, Device device, const Settings& settings) {
  if (calls.call) samples.call.push_back(time_of(calls.call, settings));
  if (calls.run) samples.run.push_back(time_of(calls.run, settings));
  if (calls.enqueue) samples.host.push_back(host_time_of(calls.enqueue, device, settings));
}

}  // namespace

double least(const std::vector<double>& of_rounds) {
  return of_rounds.empty() ? std::numeric_limits<double>::quiet_NaN() : *std::min_element(of_rounds.begin(), of_rounds.end());
}

double time_of(const std::function<void()>& call, const Settings& settings) {
  for (int i = 0; i < 2; ++i) call();  // the first one records
  std::vector<double> times;
  const auto begin = Clock::now();
  while (times.size() < 3 || microseconds_since(begin) < settings.seconds * 1e6) {
    const auto before = Clock::now();
    call();
    times.push_back(microseconds_since(before));
  }
  return median(std::move(times));
}

std::vector<Took> compare(const std::vector<Way>& ways, Device device, const Settings& settings) {
  std::vector<Samples> samples(ways.size());
  for (int round = 0; round < settings.rounds; ++round)
    for (std::size_t i = 0; i < ways.size(); ++i) ways[i].open([&](const Calls& calls) { take(samples[i], calls, device, settings); });
  std::vector<Took> took;
  for (std::size_t i = 0; i < ways.size(); ++i) took.push_back({ways[i].mode, least(samples[i].call), least(samples[i].run), least(samples[i].host)});
  return took;
}

}  // namespace reprise::bench
