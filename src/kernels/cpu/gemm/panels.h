// Weights as own products read them: panels of columns, padded with zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/weights.h"
#include "reprise/dtype.h"

namespace reprise::kernels::cpu {

/// A matrix [depth, columns] of f32 or bf16. A panel of f32 has, for each k, its columns next to each other; one of bf16 is made of blocks of kBlockDepth rows,
/// two tiles each: a tile has, for each pair of rows, kTileColumns columns with the pair's two elements.
struct PanelForm {
  static constexpr std::int64_t kBlockDepth = 32, kTileColumns = 16;

  DType dtype = DType::f32;
  std::int64_t depth = 0, columns = 0;

  [[nodiscard]] std::int64_t width() const { return dtype == DType::f32 ? 48 : 2 * kTileColumns; }
  [[nodiscard]] std::int64_t panels() const { return (columns + width() - 1) / width(); }
  [[nodiscard]] std::int64_t blocks() const { return (depth + kBlockDepth - 1) / kBlockDepth; }
  [[nodiscard]] std::size_t panel_bytes() const {
    return static_cast<std::size_t>(width()) *
           (dtype == DType::f32 ? static_cast<std::size_t>(depth) * 4 : static_cast<std::size_t>(blocks() * kBlockDepth) * 2);
  }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(panels()) * panel_bytes(); }
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
