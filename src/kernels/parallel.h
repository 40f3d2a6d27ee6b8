// Work shared among threads. With OpenMP off the pragmas are ignored and everything runs on the calling thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace reprise::kernels {

/// Splits [0, n) into at most `threads` ranges of about `grain` items or more and calls f(begin, end, worker) for each, worker < threads. One range runs on the
/// calling thread without starting anything. `f` must not throw.
template <class F>
void parallel_for(int threads, std::int64_t n, std::int64_t grain, const F& f) {
  const std::int64_t ranges = std::clamp<std::int64_t>(n / std::max<std::int64_t>(grain, 1), 1, std::max(threads, 1));
  if (ranges == 1) return f(std::int64_t{0}, n, 0);
  const int count = static_cast<int>(ranges);
#pragma omp parallel for num_threads(count) schedule(static, 1)
  for (int i = 0; i < count; ++i) f(n * i / ranges, n * (i + 1) / ranges, i);
}

/// Calls f(job, worker) for each job in [0, jobs): for jobs of unequal cost, taken in order by whichever worker is free.
template <class F>
void parallel_jobs(int threads, std::int64_t jobs, const F& f) {
  std::atomic<std::int64_t> next{0};
  parallel_for(threads, std::min<std::int64_t>(jobs, threads), 1, [&](std::int64_t, std::int64_t, int worker) {
    for (std::int64_t job = next.fetch_add(1); job < jobs; job = next.fetch_add(1)) f(job, worker);
  });
}

/// Items per range so that a range costs enough to be worth a thread, for items of `cost` (about one per element and operation).
constexpr std::int64_t grain_for(std::int64_t cost) { return std::max<std::int64_t>(1, (1 << 17) / std::max<std::int64_t>(cost, 1)); }

}  // namespace reprise::kernels
