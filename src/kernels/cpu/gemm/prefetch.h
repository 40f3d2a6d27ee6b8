// What is asked for before its turn comes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/gemm/tiles.h"

namespace reprise::kernels::cpu {

/// Lines of the panel after the one in use, some with each step.
struct Prefetch {
  static constexpr std::int64_t kLine = 64;  // bytes
  const std::byte* next = nullptr;
  std::int64_t lines = 0;  // with each step

  /// `passes` times all rows of `job`'s panel `p` are read, `step_rows` with each step, while the next one comes; nothing is gained where there is one pass.
  static Prefetch behind(const TileJob& job, std::int64_t p, std::int64_t passes, std::int64_t step_rows) {
    const std::int64_t steps = passes * job.a.lines * (job.a.line / step_rows);
    if (passes <= 1 || steps == 0 || p + 1 >= job.form.panels()) return {};
    return {job.panels + job.form.offset_bytes(p + 1), (static_cast<std::int64_t>(job.form.panel_bytes(p + 1)) / kLine + steps - 1) / steps};
  }
  [[gnu::always_inline]] inline void step() {
    for (std::int64_t i = 0; i < lines; ++i, next += kLine) __builtin_prefetch(next, 0, 2);
  }
};

/// What is added to the results of a block of rows in panel `p`, and where they go: fetched while the block before is multiplied, as so many rows lie far
/// apart.
template <class E>
class ResultLines {
 public:
  ResultLines(const TileJob& job, std::int64_t p) : job_(job), begin_(job.form.column(p)), end_(job.form.column(p + 1)) {
    if (p + 1 < job.last) next_end_ = job.form.column(p + 2);
  }

  /// Those of what follows the rows before `row`, `most` rows at a time: rows below, or the first of the next panel.
  [[gnu::always_inline]] inline void fetch_behind(std::int64_t row, std::int64_t most) const {
    const std::int64_t left = job_.row + job_.rows - row;
    if (left > 0)
      fetch(row, left < most ? left : most, begin_, end_);
    else
      fetch(job_.row, job_.rows < most ? job_.rows : most, end_, next_end_);
  }

 private:
  [[gnu::always_inline]] inline void fetch(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t end) const {
    constexpr std::int64_t kStep = Prefetch::kLine / sizeof(E);
    const Finish& to = *job_.finish;
    if (to.addend == nullptr || to.y_stride <= kStep) return;  // lines next to each other come by themselves
    for (std::int64_t r = row; r < row + rows; ++r) {
      for (std::int64_t c = begin; c < end; c += kStep) {
        __builtin_prefetch(static_cast<const E*>(to.addend) + r * to.addend_stride + c, 0, 2);
        __builtin_prefetch(static_cast<const E*>(to.y) + r * to.y_stride + c, 0, 2);
      }
    }
  }

  const TileJob& job_;
  std::int64_t begin_, end_, next_end_ = 0;  // columns of the panel, and of the one behind it; 0: none
};

}  // namespace reprise::kernels::cpu
