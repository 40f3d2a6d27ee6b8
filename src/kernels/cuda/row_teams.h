// How rows are shared out among threads by kernels that keep a row in registers (text/rows.cuh).
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/cuda/dims.h"

namespace reprise::kernels::cuda {

/// A team: a warp, of which a block holds several, or a whole block. Every thread has up to `packs` packs of a row; 0: the row is too long for that.
struct RowTeam {
  unsigned threads = 32, rows_per_block = 1;
  int packs = 1;
};

inline RowTeam team_for(std::int64_t packs_in_row, int width) {
  constexpr std::int64_t kWarp = 32, kBlock = 1024;
  const std::int64_t in_warp = width >= 8 ? 4 : 8, in_block = 4;
  if (packs_in_row <= kWarp * in_warp) {
    const auto each = static_cast<std::uint64_t>((packs_in_row + kWarp - 1) / kWarp);
    return {32, 4, static_cast<int>(std::bit_ceil(each))};
  }
  if (packs_in_row <= kBlock * in_block) {
    const std::int64_t threads = (packs_in_row + in_block - 1) / in_block;
    return {static_cast<unsigned>((threads + kWarp - 1) / kWarp * kWarp), 1, static_cast<int>(in_block)};
  }
  return {1024, 1, 0};
}

inline LaunchShape shape_of(const RowTeam& team, std::int64_t rows) {
  return {.grid = {blocks_for(rows, team.rows_per_block)}, .block = {team.threads, team.rows_per_block}};
}

}  // namespace reprise::kernels::cuda
