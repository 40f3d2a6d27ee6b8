// Convolution as a matrix product that reads windows where they lie in the image, line by line. Where windows reach over its border, lines are first copied
// between zeros, those of a block of output lines at a time.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/gemm/tiles.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

/// Output lines of one image.
struct Piece {
  std::int64_t image = 0, begin = 0, end = 0;
};

struct WindowProduct {
  ConvShape shape;
  PanelForm form;
  PackedWeight weights;
  TileKernel kernel = nullptr;
  Finish finish;
  std::int64_t line_blocks = 1, job_panels = 1;

  [[nodiscard]] std::int64_t item() const { return static_cast<std::int64_t>(item_size(form.dtype)); }
  [[nodiscard]] bool is_padded() const { return shape.padding[0] > 0 || shape.padding[1] > 0; }
  /// Pixels of a line that windows reach.
  [[nodiscard]] std::int64_t positions() const { return (shape.out_columns - 1) * shape.stride[1] + shape.kernel[1]; }
  [[nodiscard]] std::int64_t line_pixels() const { return is_padded() ? positions() : shape.columns; }
  [[nodiscard]] std::int64_t line_bytes() const { return line_pixels() * shape.channels * item(); }
  /// Lines of the image that so many lines of the output read.
  [[nodiscard]] std::int64_t lines_for(std::int64_t lines) const { return (lines - 1) * shape.stride[0] + (shape.kernel[0] - 1) * shape.dilation[0] + 1; }
  [[nodiscard]] std::int64_t all_lines() const { return shape.batch * shape.out_rows; }
  [[nodiscard]] std::int64_t panel_jobs() const { return (form.panels() + job_panels - 1) / job_panels; }
  [[nodiscard]] std::int64_t jobs() const { return line_blocks * panel_jobs(); }
  /// Of a worker: the copied lines of a block.
  [[nodiscard]] std::size_t scratch_bytes() const {
    std::int64_t most = 0;
    for (std::int64_t block = 0; is_padded() && block < line_blocks; ++block) {
      std::int64_t lines = 0;
      for_pieces(block, [&](const Piece& piece) { lines += lines_for(piece.end - piece.begin); });
      most = std::max(most, lines);
    }
    return static_cast<std::size_t>(most * line_bytes());
  }

  void plan_jobs(std::int64_t block_bytes) {
    const std::int64_t lines = all_lines(), threads = shape.threads;
    const std::int64_t touched = shape.stride[0] * line_bytes() + shape.out_columns * shape.out_channels * item() * (shape.has_addend ? 2 : 1);
    const std::int64_t most = std::max<std::int64_t>(block_bytes / touched, 1);
    line_blocks = (lines + most - 1) / most;
    if (line_blocks > 1 || shares_rows(shape, form)) line_blocks = std::min(lines, (line_blocks + threads - 1) / threads * threads);
    const std::int64_t block_lines = (lines + line_blocks - 1) / line_blocks;
    const std::int64_t cost = block_lines * shape.out_columns * form.depth * form.width() / 16, parts = line_blocks > 1 ? 1 : threads;
    job_panels = std::max((form.panels() + parts - 1) / parts, std::min(form.panels(), grain_for(cost)));
  }

  /// body(piece) for each image's part of a block.
  template <class Body>
  void for_pieces(std::int64_t block, const Body& body) const {
    const std::int64_t end = all_lines() * (block + 1) / line_blocks;
    for (std::int64_t line = all_lines() * block / line_blocks; line < end;) {
      const std::int64_t first = line % shape.out_rows, count = std::min(shape.out_rows - first, end - line);
      body(Piece{line / shape.out_rows, first, first + count});
      line += count;
    }
  }

  /// The lines that a piece reads, with zeros around; returns the place behind them.
  std::byte* copy_lines(const std::byte* x, const Piece& piece, std::byte* to) const {
    const ConvShape& s = shape;
    const std::int64_t pixel = s.channels * item(), bytes = line_bytes(), left = std::min(s.padding[1] * pixel, bytes);
    const std::int64_t inside = std::min(s.columns * pixel, bytes - left), first = piece.begin * s.stride[0] - s.padding[0];
    for (std::int64_t in = first; in < first + lines_for(piece.end - piece.begin); ++in, to += bytes) {
      const std::int64_t before = in >= 0 && in < s.rows ? left : bytes, copied = before == bytes ? 0 : inside;
      std::memset(to, 0, static_cast<std::size_t>(before));
      std::memcpy(to + before, x + (piece.image * s.rows + std::clamp<std::int64_t>(in, 0, s.rows - 1)) * s.columns * pixel, static_cast<std::size_t>(copied));
      std::memset(to + before + copied, 0, static_cast<std::size_t>(bytes - before - copied));
    }
    return to;
  }

  void run_job(void* const* bindings, std::int64_t job, std::byte* scratch) const {
    const std::int64_t block = job / panel_jobs(), first = job % panel_jobs() * job_panels, last = std::min(first + job_panels, form.panels());
    const std::byte* x = shape.x.at(bindings);
    std::byte* to = scratch;
    int pieces = 0;
    for_pieces(block, [&](const Piece& piece) {
      if (is_padded()) to = copy_lines(x, piece, to);
      ++pieces;
    });
    // Of several images each panel is used for all before the next.
    const std::int64_t step = pieces > 1 ? 1 : last - first;
    for (std::int64_t panel = first; panel < last; panel += step) {
      const std::byte* copied = scratch;
      for_pieces(block, [&](const Piece& piece) {
        if (!is_padded()) return multiply(bindings, x + (piece.image * shape.rows + piece.begin * shape.stride[0]) * line_bytes(), piece, panel, panel + step);
        multiply(bindings, copied, piece, panel, panel + step);
        copied += lines_for(piece.end - piece.begin) * line_bytes();
      });
    }
  }

  void multiply(void* const* bindings, const std::byte* from, const Piece& piece, std::int64_t first, std::int64_t last) const {
    const ConvShape& s = shape;
    const std::int64_t line_items = line_pixels() * s.channels;
    const Finish to = results_from(s, finish, bindings, (piece.image * s.out_rows + piece.begin) * s.out_columns);
    kernel({.a = {.data = from,
                  .stride = s.stride[1] * s.channels,
                  .group = s.out_columns,
                  .group_stride = s.stride[0] * line_items,
                  .lines = s.kernel[0],
                  .line = s.kernel[1] * s.channels,
                  .line_stride = s.dilation[0] * line_items},
            .row = 0,
            .rows = (piece.end - piece.begin) * s.out_columns,
            .panels = weights.at(bindings),
            .form = form,
            .first = first,
            .last = last,
            .finish = &to});
  }
};

}  // namespace

NamedStep make_window_product(const Contraction& contraction, const ConvShape& s, WeightCache& cache, std::int64_t block_bytes) {
  constexpr std::int64_t kBlockBytes = 1 << 18;
  const NamedTiles tiles = tile_kernel(s.y.dtype, active_isa());
  const std::int64_t line = s.kernel[1] * s.channels;
  const bool fills = s.y.dtype == DType::bf16 && s.kernel[0] > 1 && line % 2 != 0;
  WindowProduct conv{.shape = s,
                     .form = {s.y.dtype, s.kernel[0] * (fills ? line + 1 : line), s.out_channels, tiles.matrix_units, fills ? line : 0},
                     .weights = {},
                     .kernel = tiles.run,
                     .finish = finish_with(s.activation, s.y.dtype)};
  conv.plan_jobs(kBlockBytes);
  if (block_bytes != 0) {
    const std::int64_t likely = conv.line_blocks;
    conv.plan_jobs(block_bytes);
    if (conv.line_blocks == likely) return {};
  }
  conv.weights = pack_panels(cache, contraction.spec, s.w, s.taps() == 1 ? s.w.strides[1] : 1, s.w.strides[0], conv.form, s.threads);
  const std::size_t bytes = reference::aligned(conv.scratch_bytes());
  const auto workers = static_cast<std::size_t>(std::min<std::int64_t>(conv.jobs(), s.threads));
  return {reference::make_step(bytes * workers,
                               [=, threads = s.threads](void* const* bindings, std::byte* scratch) {
                                 parallel_jobs(threads, conv.jobs(), [&](std::int64_t job, int worker) {
                                   conv.run_job(bindings, job, scratch + static_cast<std::size_t>(worker) * bytes);
                                 });
                               }),
          tiles.name};
}

}  // namespace reprise::kernels::cpu
