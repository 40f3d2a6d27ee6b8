// Weights as own products read them: panels of columns, padded with zeros.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/weights.h"
#include "reprise/dtype.h"

namespace reprise::kernels::cpu {

/// A matrix [depth, columns] of f32 or bf16. A panel of f32 has, for each k, its columns next to each other; one of bf16 is made of blocks of kBlockDepth rows,
/// two tiles each: a tile has, for each pair of rows, kTileColumns columns with the pair's two elements. Panels of f32 have three vectors of kTileColumns, the
/// last ones two where that leaves none empty, or one where there is no more: what is empty is multiplied, too.
struct PanelForm {
  static constexpr std::int64_t kBlockDepth = 32, kTileColumns = 16;

  DType dtype = DType::f32;
  std::int64_t depth = 0, columns = 0;
  std::int64_t line = 0;  // rows of the matrix that stand together, an odd number and one of zeros behind them; 0: all are there, and no others

  /// Of most panels.
  [[nodiscard]] std::int64_t width() const { return kTileColumns * (is_f32() ? 3 : 2); }
  [[nodiscard]] std::int64_t panels() const { return (columns + width() - 1) / width(); }
  [[nodiscard]] std::int64_t width(std::int64_t panel) const {
    if (!is_f32() || panel < panels() - narrow()) return width();
    return std::min<std::int64_t>(2, vectors()) * kTileColumns;
  }
  /// The first of a panel; of the one behind the last, how many there are with those that are padding.
  [[nodiscard]] std::int64_t column(std::int64_t panel) const {
    const std::int64_t less = std::max<std::int64_t>(0, panel - panels() + narrow()) * kTileColumns;
    return is_f32() ? std::min(panel * width() - less, vectors() * kTileColumns) : panel * width();
  }
  [[nodiscard]] std::int64_t blocks() const { return (depth + kBlockDepth - 1) / kBlockDepth; }
  /// From the first panel to a later one.
  [[nodiscard]] std::size_t offset_bytes(std::int64_t panel) const {
    return static_cast<std::size_t>(column(panel) * (is_f32() ? depth * 4 : blocks() * kBlockDepth * 2));
  }
  [[nodiscard]] std::size_t panel_bytes(std::int64_t panel) const { return offset_bytes(panel + 1) - offset_bytes(panel); }
  [[nodiscard]] std::size_t bytes() const { return offset_bytes(panels()); }

 private:
  [[nodiscard]] bool is_f32() const { return dtype == DType::f32; }
  [[nodiscard]] std::int64_t vectors() const { return (columns + kTileColumns - 1) / kTileColumns; }
  /// Panels with fewer vectors than others, of f32.
  [[nodiscard]] std::int64_t narrow() const { return is_f32() ? std::min(panels(), panels() * 3 - vectors()) : 0; }
};

/// A matrix as it lies; strides count elements.
struct MatrixView {
  const void* data = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;
};

void pack_panels(const MatrixView& from, const PanelForm& form, void* to, int threads);

/// `w`, an operand of `spec` that is fixed, with rows and columns so many elements apart, in panels: one copy for all products of it.
PackedWeight pack_panels(WeightCache& cache, const StepSpec& spec, const OperandRef& w, std::int64_t row_stride, std::int64_t column_stride,
                         const PanelForm& form, int threads);

}  // namespace reprise::kernels::cpu
