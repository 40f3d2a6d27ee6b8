// Convolution as a matrix product: pixels of the output times the taps of all channels. Windows of one pixel read the image where it lies; the patches of
// others are copied next to each other, a block of pixels at a time.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/gemm/tiles.h"
#include "kernels/packed.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kLine = 64;

/// Copies `bytes`, and up to a line more where both sides have it.
struct CopyLines {
  using Line [[gnu::vector_size(kLine)]] = char;

  static void run(std::byte* to, const std::byte* from, std::int64_t bytes) {
    for (std::int64_t at = 0; at < bytes; at += kLine) {
      Line line;
      std::memcpy(&line, from + at, kLine);
      std::memcpy(to + at, &line, kLine);
    }
  }
};

struct ConvProduct {
  ConvShape shape;
  PanelForm form;
  PackedWeight weights;
  TileKernel kernel = nullptr;
  Finish finish;
  void (*copy)(std::byte*, const std::byte*, std::int64_t) = best<CopyLines>();
  bool direct = false;  // the image is the matrix
  std::int64_t block_rows = 0, row_blocks = 1, job_panels = 1;

  [[nodiscard]] std::int64_t item() const { return static_cast<std::int64_t>(item_size(form.dtype)); }
  [[nodiscard]] std::int64_t row_bytes() const { return (form.depth * item() + kLine - 1) / kLine * kLine; }
  [[nodiscard]] std::int64_t panel_jobs() const { return (form.panels() + job_panels - 1) / job_panels; }
  /// Of a worker: patches, and what copies of whole lines write behind them.
  [[nodiscard]] std::size_t scratch_bytes() const { return direct ? 0 : static_cast<std::size_t>(block_rows * row_bytes() + kLine); }

  void plan_jobs(std::int64_t block_bytes) {
    constexpr std::int64_t kUnit = 32;
    const std::int64_t touched = row_bytes() + shape.out_channels * item() * (shape.has_addend ? 2 : 1);
    const std::int64_t rows = shape.pixels(), threads = shape.threads, most = std::max<std::int64_t>(block_bytes / touched / kUnit, 1) * kUnit;
    row_blocks = (rows + most - 1) / most;
    if (row_blocks > 1 || shares_rows(shape, form)) row_blocks = (row_blocks + threads - 1) / threads * threads;
    block_rows = (rows + row_blocks - 1) / row_blocks;
    if (threads == 1) block_rows = (block_rows + kUnit - 1) / kUnit * kUnit;
    row_blocks = (rows + block_rows - 1) / block_rows;
    const std::int64_t cost = block_rows * form.depth * form.width() / 16, parts = row_blocks > 1 ? 1 : threads;
    job_panels = std::max((form.panels() + parts - 1) / parts, std::min(form.panels(), grain_for(cost)));
  }

  /// The taps of `count` output pixels from `pixel` on.
  void gather(const std::byte* x, const std::byte* end, std::int64_t pixel, std::int64_t count, std::byte* to) const {
    const ConvShape& s = shape;
    const std::int64_t tap = s.channels * item(), line = s.columns * tap;
    std::int64_t column = pixel % s.out_columns, row = pixel / s.out_columns % s.out_rows, image = pixel / s.out_columns / s.out_rows;
    for (std::int64_t i = 0; i < count; ++i, to += row_bytes()) {
      std::byte* at = to;
      for (std::int64_t k = 0; k < s.kernel[0]; ++k, at += s.kernel[1] * tap) {
        const std::int64_t in = row * s.stride[0] - s.padding[0] + k * s.dilation[0];
        if (in < 0 || in >= s.rows)
          std::memset(at, 0, static_cast<std::size_t>(s.kernel[1] * tap));
        else
          gather_line(x + (image * s.rows + in) * line, end, column * s.stride[1] - s.padding[1], tap, at);
      }
      if (++column == s.out_columns) {
        column = 0;
        if (++row == s.out_rows) row = 0, ++image;
      }
    }
  }

  /// Taps `first`, `first` + dilation, … of a line of the image.
  void gather_line(const std::byte* line, const std::byte* end, std::int64_t first, std::int64_t tap, std::byte* to) const {
    const std::int64_t taps = shape.kernel[1], dilation = shape.dilation[1], columns = shape.columns;
    if (first >= 0 && first + (taps - 1) * dilation < columns && dilation == 1) return take(line + first * tap, end, taps * tap, to);
    for (std::int64_t k = 0; k < taps; ++k, to += tap) {
      const std::int64_t in = first + k * dilation;
      if (in < 0 || in >= columns)
        std::memset(to, 0, static_cast<std::size_t>(tap));
      else
        take(line + in * tap, end, tap, to);
    }
  }

  void take(const std::byte* from, const std::byte* end, std::int64_t bytes, std::byte* to) const {
    if (end - from >= bytes + kLine)
      copy(to, from, bytes);
    else
      std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }

  void run_job(void* const* bindings, std::int64_t job, std::byte* scratch) const {
    const std::int64_t row = job / panel_jobs() * block_rows, rows = std::min(block_rows, shape.pixels() - row), first = job % panel_jobs() * job_panels;
    const Finish to = results_from(shape, finish, bindings, row);
    const std::byte* x = shape.x.at(bindings);
    if (!direct) gather(x, x + shape.x.numel() * item(), row, rows, scratch);
    kernel({.a = {.data = direct ? x + row * form.depth * item() : scratch, .stride = direct ? form.depth : row_bytes() / item(), .line = form.depth},
            .row = 0,
            .rows = rows,
            .panels = weights.at(bindings),
            .form = form,
            .first = first,
            .last = std::min(first + job_panels, form.panels()),
            .finish = &to});
  }
};

/// w[Co, Ci, *K] is a matrix [K · Ci, Co] with rows one element apart, or has one tap.
bool is_matrix(const ConvShape& s) { return s.taps() == 1 || is_packed(s.w, true); }

}  // namespace

Finish results_from(const ConvShape& shape, const Finish& finish, void* const* bindings, std::int64_t pixel) {
  const std::int64_t offset = pixel * shape.out_channels * static_cast<std::int64_t>(item_size(shape.y.dtype));
  Finish to = finish;
  to.bias = shape.has_bias ? shape.bias.at(bindings) : nullptr;
  to.addend = shape.has_addend ? shape.addend.at(bindings) + offset : nullptr;
  to.y = shape.y.at(bindings) + offset;
  to.addend_stride = to.y_stride = shape.out_channels;
  return to;
}

bool shares_rows(const ConvShape& shape, const PanelForm& form) { return shape.x.numel() >= form.depth * form.columns; }

bool is_better_product(const Contraction& conv) {
  const OperandRef& w = conv.spec.inputs[1];
  if (!tile_kernel(w.dtype, active_isa()).matrix_units) return true;
  // With something to add, libraries' kernels for matrix units are not their best; narrow products are bound by what they store.
  constexpr std::int64_t kNarrow = 1 << 13;
  return w.dtype == DType::bf16 && conv.addend != nullptr && w.numel() == w.sizes[0] * w.sizes[1] && w.numel() >= kNarrow;
}

NamedStep make_conv_product(const Contraction& contraction, WeightCache& cache, std::int64_t block_bytes) {
  constexpr std::int64_t kBlockBytes = 1 << 18;
  const auto shape = describe_conv(contraction);
  if (!shape || shape->groups != 1 || !is_matrix(*shape)) return {};
  const ConvShape& s = *shape;
  const NamedTiles tiles = tile_kernel(s.y.dtype, active_isa());
  ConvProduct conv{.shape = s,
                   .form = {s.y.dtype, s.taps() * s.channels, s.out_channels, tiles.matrix_units},
                   .weights = {},
                   .kernel = tiles.run,
                   .finish = finish_with(s.activation, s.y.dtype)};
  if (conv.kernel == nullptr || conv.finish.run == nullptr) return {};
  conv.direct = s.taps() == 1 && s.stride[0] == 1 && s.stride[1] == 1 && s.padding[0] == 0 && s.padding[1] == 0;
  if (!conv.direct && !tiles.matrix_units && s.dilation[1] == 1) return make_window_product(contraction, s, cache, block_bytes);
  conv.plan_jobs(kBlockBytes);
  if (block_bytes != 0) {
    const std::int64_t likely = conv.block_rows;
    conv.plan_jobs(block_bytes);
    if (conv.block_rows == likely) return {};
  }
  const std::int64_t row_stride = s.taps() == 1 ? s.w.strides[1] : 1, column_stride = s.w.strides[0];
  conv.weights = pack_panels(cache, contraction.spec, s.w, row_stride, column_stride, conv.form, s.threads);
  const std::size_t bytes = reference::aligned(conv.scratch_bytes());
  const std::int64_t jobs = conv.row_blocks * conv.panel_jobs();
  const auto workers = static_cast<std::size_t>(std::min<std::int64_t>(jobs, s.threads));
  return {reference::make_step(bytes * workers,
                               [=, threads = s.threads](void* const* bindings, std::byte* scratch) {
                                 parallel_jobs(threads, jobs, [&](std::int64_t job, int worker) {
                                   conv.run_job(bindings, job, scratch + static_cast<std::size_t>(worker) * bytes);
                                 });
                               }),
          tiles.name};
}

}  // namespace reprise::kernels::cpu
