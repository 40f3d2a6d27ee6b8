// Windows into operands as the texts take them: the host's side of text/dims.cuh.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

/// Operands whose dimensions are walked together; null: one that is not there (strides 0).
using OperandList = std::initializer_list<const OperandRef*>;

/// Windows of the same sizes into `operands` operands, outermost dimension first.
class Dims {
 public:
  explicit Dims(std::size_t operands) : operands_(operands) {}
  /// The dimensions `which` of operands of one shape, in that order, merged where they can be.
  Dims(OperandList operands, std::span<const int> which);

  /// Adds a dimension inside the others; `strides`: one per operand. Sizes of 1 are left out and neighbours merged where all operands allow, if `merge`.
  void add(std::int64_t size, std::span<const std::int64_t> strides, bool merge = true);
  void add(std::int64_t size, std::initializer_list<std::int64_t> strides) { add(size, std::span(strides.begin(), strides.size())); }
  /// Makes packs of `width` elements into elements of their own; the innermost dimension is dense.
  void widen(std::int64_t width);
  /// The same where no dimension is innermost: strides of the first `operands` operands.
  void divide_strides(std::int64_t width, std::size_t operands);

  [[nodiscard]] int rank() const { return static_cast<int>(sizes_.size()); }
  [[nodiscard]] std::int64_t numel() const;
  [[nodiscard]] std::int64_t size(int d) const { return sizes_[static_cast<std::size_t>(d)]; }
  [[nodiscard]] std::int64_t stride(int d, std::size_t operand) const { return strides_[static_cast<std::size_t>(d)][operand]; }
  /// As Dims<i64_t or i32_t, operands> of the text.
  void put(Arguments& arguments, bool wide) const;

 private:
  std::size_t operands_;
  std::vector<std::int64_t> sizes_;
  std::vector<std::array<std::int64_t, kMaxRank + 4>> strides_;
};

/// A Divider of the text.
void put_divider(Arguments& arguments, std::int64_t divisor, bool wide);
void put_index(Arguments& arguments, std::int64_t value, bool wide);

/// True where positions and offsets in these operands need 64 bits.
bool needs_wide(OperandList operands);
inline const char* index_type(bool wide) { return wide ? "i64_t" : "i32_t"; }

/// The output may be the input's own memory.
inline bool same_memory(const OperandRef& a, const OperandRef& b) { return a.slot == b.slot && a.offset == b.offset && a.strides == b.strides; }

/// `which` with the greatest strides of `operand` first.
std::vector<int> by_stride(const OperandRef& operand, std::vector<int> which);
/// 0 … rank - 1.
std::vector<int> all_dims(int rank);
/// 0 … rank - 1 but those of `except`.
std::vector<int> other_dims(int rank, std::span<const int> except);
/// Elements along `which`.
std::int64_t count_along(const OperandRef& operand, std::span<const int> which);

/// The greatest power of two up to 16 bytes' worth such that packs of so many elements along the dimensions `line` are aligned in every operand, wherever the
/// line begins. 1 where an operand is not dense along them.
int pack_width(OperandList operands, std::span<const int> line);

/// Bytes that several parts of a step's scratch memory need.
class Scratch {
 public:
  struct Part {
    std::int64_t begin = 0, bytes = 0;
  };
  Part take(std::int64_t bytes);
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(bytes_); }

 private:
  std::int64_t bytes_ = 0;
};
Arguments& put_scratch(Arguments& arguments, Scratch::Part part, int slot, bool write);
/// Fills a part with a byte.
void fill_scratch(Operations& operations, Scratch::Part part, int slot, std::uint32_t byte);

/// A kernel whose first statement is `wait_for_earlier_kernels()`.
struct TextKernel {
  Kernel kernel;
  unsigned few_blocks = 0;  // that fit on the GPU beside those of the kernel before: worth a programmatic launch
};
/// The kernel `entry` of text/<text>.
TextKernel request(Gpu& gpu, const char* text, std::string entry, std::vector<std::string> options = {});
void launch(Operations& operations, const TextKernel& kernel, LaunchShape shape, Arguments arguments);
/// One thread for each of `count` items.
void launch_each(Operations& operations, const TextKernel& kernel, std::int64_t count, Arguments arguments);

/// An unsigned type of so many bytes, up to 16: where only bits move.
std::string bits_type(std::int64_t bytes);

}  // namespace reprise::kernels::cuda
