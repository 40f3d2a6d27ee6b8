#include "kernels/cpu/gemm/panels.h"

#include <algorithm>

#include "base/pages.h"
#include "kernels/parallel.h"

namespace reprise::kernels::cpu {
namespace {

/// Rows of a panel at a time: what is written stays in the nearest cache while columns are read one after the other.
constexpr std::int64_t kChunk = 64;

constexpr std::int64_t kPanels = 7;  // WeightCache

void pack_f32(const MatrixView& from, const PanelForm& form, std::int64_t panel, float* to) {
  const auto* data = static_cast<const float*>(from.data);
  const std::int64_t width = form.width(panel), column0 = form.column(panel), columns = std::min(width, form.columns - column0);
  for (std::int64_t k0 = 0; k0 < form.depth; k0 += kChunk) {
    const std::int64_t k1 = std::min(form.depth, k0 + kChunk);
    for (std::int64_t c = 0; c < width; ++c) {
      const float* column = data + (column0 + c) * from.column_stride;
      for (std::int64_t k = k0; k < k1; ++k) to[k * width + c] = c < columns ? column[k * from.row_stride] : 0.0F;
    }
  }
}

/// Row `k` of panels of bf16 in the matrix; -1: it is of zeros.
std::int64_t matrix_row(const PanelForm& form, std::int64_t k) {
  if (k >= form.depth) return -1;
  if (form.line == 0) return k;
  return k % (form.line + 1) < form.line ? k - k / (form.line + 1) : -1;
}

/// Rows of columns [column0, column0 + width) from k0 on, by pairs.
void pack_pairs(const MatrixView& from, const PanelForm& form, std::int64_t column0, std::int64_t width, std::int64_t k0, std::int64_t rows,
                std::uint16_t* to) {
  const auto* data = static_cast<const std::uint16_t*>(from.data);
  for (std::int64_t c = 0; c < width; ++c) {
    const std::uint16_t* column = data + (column0 + c) * from.column_stride;
    for (std::int64_t k = 0; k < rows; ++k) {
      const std::int64_t row = column0 + c < form.columns ? matrix_row(form, k0 + k) : -1;
      to[(k / 2 * width + c) * 2 + k % 2] = row >= 0 ? column[row * from.row_stride] : std::uint16_t{0};
    }
  }
}

void pack_bf16(const MatrixView& from, const PanelForm& form, std::int64_t panel, std::uint16_t* to) {
  constexpr std::int64_t kDepth = PanelForm::kBlockDepth;
  const std::int64_t width = form.width(panel), column0 = form.column(panel), together = form.tiles ? PanelForm::kTileColumns : width;
  for (std::int64_t k0 = 0; k0 < form.depth; k0 += kDepth) {
    const std::int64_t rows = form.tiles ? kDepth : std::min(kDepth, (form.depth - k0 + 1) / 2 * 2);
    for (std::int64_t c = 0; c < width; c += together, to += together * rows) pack_pairs(from, form, column0 + c, together, k0, rows, to);
  }
}

/// Of a matrix in a file whose columns are lines of memory: a large one would be there twice at the end.
void drop_columns(const MatrixView& from, const PanelForm& form, std::int64_t begin, std::int64_t end) {
  if (from.column_stride < form.depth || from.row_stride != 1) return;
  const auto item = static_cast<std::int64_t>(item_size(form.dtype));
  base::drop_pages_of_file(static_cast<const std::byte*>(from.data) + begin * from.column_stride * item,
                           static_cast<std::size_t>((std::min(end, form.columns) - begin) * from.column_stride * item));
}

}  // namespace

void pack_panels(const MatrixView& from, const PanelForm& form, void* to, int threads) {
  constexpr std::int64_t kDropped = 1 << 20;  // elements at a time
  const std::int64_t cost = std::max<std::int64_t>(1, form.width() * form.depth), together = std::max<std::int64_t>(1, kDropped / cost);
  parallel_for(threads, form.panels(), grain_for(cost), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      // From the first: the system may have mapped earlier ones again with later ones.
      if ((panel - begin) % together == 0 && panel > begin) drop_columns(from, form, form.column(begin), form.column(panel));
      std::byte* place = static_cast<std::byte*>(to) + form.offset_bytes(panel);
      if (form.dtype == DType::f32)
        pack_f32(from, form, panel, reinterpret_cast<float*>(place));
      else
        pack_bf16(from, form, panel, reinterpret_cast<std::uint16_t*>(place));
    }
  });
}

PackedWeight pack_panels(WeightCache& cache, const StepSpec& spec, const OperandRef& w, std::int64_t row_stride, std::int64_t column_stride,
                         const PanelForm& form, int threads) {
  return cache.pack(spec, w, {kPanels, static_cast<std::int64_t>(form.dtype), row_stride, column_stride, form.depth, form.columns, form.tiles, form.line},
                    form.bytes(), [=](const std::byte* from, std::byte* to) {
                      pack_panels({from, row_stride, column_stride}, form, to, threads);
                    });
}

}  // namespace reprise::kernels::cpu
