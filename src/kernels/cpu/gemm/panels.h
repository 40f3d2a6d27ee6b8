// Weights as own products read them: panels of columns, padded with zeros.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/weights.h"
#include "reprise/dtype.h"

namespace reprise::kernels::cpu {

/// A matrix [depth, columns] of f32 or bf16, in panels of three (f32) or two vectors of kTileColumns; the last panels have one less where that leaves none of
/// it empty, or one where there is no more: what is empty is multiplied, too. A panel of f32 has, for each k, its columns next to each other; one of bf16, for
/// each pair of rows, its columns with the pair's two elements. For matrix units each panel has two vectors, and the pairs of kBlockDepth rows of the first
/// stand before those of the second, so that both are tiles.
struct PanelForm {
  static constexpr std::int64_t kBlockDepth = 32, kTileColumns = 16;

  DType dtype = DType::f32;
  std::int64_t depth = 0, columns = 0;
  bool tiles = false;     // for matrix units; bf16
  std::int64_t line = 0;  // rows of the matrix that stand together, an odd number and one of zeros behind them; 0: all are there, and no others

  /// Of most panels.
  [[nodiscard]] std::int64_t width() const { return kTileColumns * most(); }
  [[nodiscard]] std::int64_t panels() const { return (columns + width() - 1) / width(); }
  [[nodiscard]] std::int64_t width(std::int64_t panel) const { return panel < panels() - narrow() ? width() : std::min(most() - 1, vectors()) * kTileColumns; }
  /// The first of a panel; of the one behind the last, how many there are with those that are padding.
  [[nodiscard]] std::int64_t column(std::int64_t panel) const {
    const std::int64_t less = std::max<std::int64_t>(0, panel - panels() + narrow()) * kTileColumns;
    return std::min(panel * width() - less, vectors() * kTileColumns);
  }
  [[nodiscard]] std::int64_t blocks() const { return (depth + kBlockDepth - 1) / kBlockDepth; }
  /// From the first panel to a later one.
  [[nodiscard]] std::size_t offset_bytes(std::int64_t panel) const { return static_cast<std::size_t>(column(panel) * rows()) * item_size(dtype); }
  [[nodiscard]] std::size_t panel_bytes(std::int64_t panel) const { return offset_bytes(panel + 1) - offset_bytes(panel); }
  [[nodiscard]] std::size_t bytes() const { return offset_bytes(panels()); }

 private:
  [[nodiscard]] std::int64_t most() const { return dtype == DType::f32 ? 3 : 2; }
  [[nodiscard]] std::int64_t rows() const { return dtype == DType::f32 ? depth : tiles ? blocks() * kBlockDepth : (depth + 1) / 2 * 2; }
  [[nodiscard]] std::int64_t vectors() const {
    const std::int64_t unit = kTileColumns * (tiles ? most() : 1);
    return (columns + unit - 1) / unit * unit / kTileColumns;
  }
  /// Panels with fewer vectors than others.
  [[nodiscard]] std::int64_t narrow() const { return std::min(panels(), panels() * most() - vectors()); }
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
