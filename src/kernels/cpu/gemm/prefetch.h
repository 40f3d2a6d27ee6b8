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
    const auto bytes = static_cast<std::int64_t>(job.form.panel_bytes());
    const std::int64_t steps = passes * (job.form.depth / step_rows);
    const bool useful = passes > 1 && steps > 0 && p + 1 < job.form.panels();
    return {job.panels + (p + 1) * bytes, useful ? (bytes / kLine + steps - 1) / steps : 0};
  }
  [[gnu::always_inline]] inline void step() {
    for (std::int64_t i = 0; i < lines; ++i, next += kLine) __builtin_prefetch(next, 0, 2);
  }
};

/// What is added to the results of a tile of kColumns, and where they go: fetched while the tile before is multiplied, as so many rows lie far apart.
template <class E, std::int64_t kColumns>
class ResultLines {
 public:
  explicit ResultLines(const Finish& to) : to_(to) {}

  /// Those of what follows the rows before `row` of `job`'s panel `p`, `most` rows at a time: rows below, or the first of the next panel.
  [[gnu::always_inline]] inline void fetch_behind(const TileJob& job, std::int64_t p, std::int64_t row, std::int64_t most) const {
    const std::int64_t left = job.row + job.rows - row;
    if (left > 0)
      fetch(row, left < most ? left : most, p * kColumns);
    else if (p + 1 < job.last)
      fetch(job.row, job.rows < most ? job.rows : most, (p + 1) * kColumns);
  }

 private:
  [[gnu::always_inline]] inline void fetch(std::int64_t row, std::int64_t rows, std::int64_t column) const {
    constexpr std::int64_t kStep = Prefetch::kLine / sizeof(E);
    if (to_.addend == nullptr) return;
    for (std::int64_t r = row; r < row + rows; ++r) {
      for (std::int64_t c = column; c < column + kColumns; c += kStep) {
        __builtin_prefetch(static_cast<const E*>(to_.addend) + r * to_.addend_stride + c, 0, 2);
        __builtin_prefetch(static_cast<const E*>(to_.y) + r * to_.y_stride + c, 0, 2);
      }
    }
  }

  const Finish& to_;
};

}  // namespace reprise::kernels::cpu
