// What gather, index, scatter and index_put have in common: text/indexing.cuh, host side.
#pragma once

#include <vector>

#include "kernels/cuda/dims.h"

namespace reprise::kernels::cuda {

/// Blocks of kept dimensions, one for each position of the index tensors. `table` is the tensor that indices point into (x, or what is scattered to), `list`
/// the one that has a block for each position (y, or the values).
struct Indexing {
  OperandRef table, list;
  std::vector<OperandRef> indices;
  std::vector<std::int64_t> sizes, strides, radix;  // of the indexed axes; radix: in the number of a target
  bool wraps = false;
  std::int64_t targets = 1;  // that there can be
  Dims positions{3}, kept{2};
  bool wide = false;

  [[nodiscard]] std::int64_t count() const { return positions.numel(); }
  [[nodiscard]] std::int64_t block() const { return kept.numel(); }
  /// Elements that can be moved together: packs along the innermost kept dimension.
  [[nodiscard]] std::int64_t pack_width() const;
  [[nodiscard]] Indexing widened(std::int64_t width) const;
  /// "i32_t, 1": the text's template parameters.
  [[nodiscard]] std::string types() const;
  /// The text's Indexing. Indices outside are told to `operations`.
  void put(Arguments& arguments, Operations& operations, const std::string& name) const;
};

/// For gather and scatter: an index for every element of `list`, along the attribute `axis`.
Indexing index_elements(const StepSpec& spec, const OperandRef& table, const OperandRef& index, const OperandRef& list);
/// For index and index_put: the attributes `axes` and `position`.
Indexing index_blocks(const StepSpec& spec, const OperandRef& table, const OperandRef& list, std::span<const OperandRef> indices);

}  // namespace reprise::kernels::cuda
