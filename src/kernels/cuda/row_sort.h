// Stable sorting of rows (text/sort.cuh): one kernel for short rows; tiles and rounds of merging for longer ones; digit by digit for the longest; tournaments
// where only a few of many are kept.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/dims.h"

namespace reprise::kernels::cuda {

/// A type of the text and how its members are written; `slot`: scratch.
struct TextObject {
  std::string type;
  std::function<void(Arguments&, int slot)> put;
};

/// What is sorted: keys of so many bytes beside positions, or slices, which are positions alone.
struct SortElement {
  std::string type;
  std::int64_t key_bytes = 0;  // 0: slices
  std::int64_t position_bytes = 8;

  static SortElement keyed(bool wide_keys, bool wide_positions);
  static SortElement slices() { return {"Slice", 0, 8}; }
  [[nodiscard]] const char* key_type() const { return key_bytes == 8 ? "u64_t" : "u32_t"; }
  [[nodiscard]] const char* position_type() const { return position_bytes == 8 ? "i64_t" : "u32_t"; }
};

/// Elements of all rows on their way.
struct SortBuffer {
  Scratch::Part keys, positions;
  static SortBuffer take(Scratch& scratch, const SortElement& element, std::int64_t count);
};
TextObject sorted_source(const SortElement& element, const SortBuffer& buffer, std::int64_t pitch);
TextObject sorted_sink(const SortElement& element, const SortBuffer& buffer, std::int64_t pitch);
/// Keys that stand in scratch, row after row.
TextObject keys_source(const SortElement& element, Scratch::Part keys, std::int64_t pitch);
/// The values of x's rows along `line`.
TextObject values_source(const SortElement& element, const OperandRef& x, std::span<const int> around, std::span<const int> line, bool descending);
TextObject by_key();

struct SortJob {
  const char* text = "sort.cuh";
  SortElement element;
  TextObject source, sink, less;
  std::int64_t rows = 1, length = 0;
  std::int64_t kept = 0;             // of a row go to the sink
  int first_bit = 0, last_bit = 64;  // of keys: those outside say nothing
};

class RowSort {
 public:
  RowSort(Gpu& gpu, Scratch& scratch, const SortJob& job);
  void describe(Operations& operations, int slot) const;

 private:
  void add_tiles(Gpu& gpu, const SortJob& job, unsigned threads);
  void add_tournament(Gpu& gpu, Scratch& scratch, SortJob job);
  void add_merges(Gpu& gpu, Scratch& scratch, SortJob job);
  void add_digits(Gpu& gpu, Scratch& scratch, const SortJob& job);

  std::vector<std::function<void(Operations&, int slot)>> rounds_;
};

/// Keys of a dtype's values need 8 bytes.
bool has_wide_keys(DType dtype);
/// Keys of f16 and bf16 are those of f32, with bits that say nothing.
int first_key_bit(DType dtype);

}  // namespace reprise::kernels::cuda
