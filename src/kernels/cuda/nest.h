// The loop nest of a kernel whose text is written for how its operands lie.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

/// Operands of one shape: dimensions outermost first, in the order in which one of them lies in memory; those merged that follow each other in every operand.
class Nest {
 public:
  Nest(std::span<const OperandRef> operands, const OperandRef& order_of);

  [[nodiscard]] std::size_t rank() const { return sizes_.size(); }
  [[nodiscard]] std::int64_t size(std::size_t d) const { return sizes_[d]; }
  [[nodiscard]] std::int64_t stride(std::size_t d, std::size_t operand) const { return strides_[d][operand]; }
  /// Along the innermost dimension; 0 of a single element.
  [[nodiscard]] std::int64_t inner_stride(std::size_t operand) const { return rank() == 0 ? 0 : strides_.back()[operand]; }
  [[nodiscard]] std::int64_t items() const;
  /// Positions or offsets need 64 bits.
  [[nodiscard]] bool wide() const { return wide_; }
  /// Elements along the innermost dimension that make 16 bytes of the largest dense operand, or as many fewer as sizes and alignment ask for.
  [[nodiscard]] std::int64_t widest_vector() const;
  /// Makes `width` elements along the innermost dimension one item.
  void group(std::int64_t width) {
    if (rank() > 0) sizes_.back() /= width;
  }

 private:
  [[nodiscard]] bool needs_wide() const;

  std::vector<OperandRef> operands_;
  std::vector<std::int64_t> sizes_;
  std::vector<std::vector<std::int64_t>> strides_;  // by dimension, then operand
  bool wide_ = false;
};

/// Parameters of a kernel, declared and given together.
class Parameters {
 public:
  void pointer(const std::string& declaration, const OperandRef& operand, bool write) {
    declare(declaration);
    write ? arguments_.out(operand) : arguments_.in(operand);
  }
  template <class T>
  void value(const std::string& declaration, const T& v) {
    declare(declaration);
    arguments_.value(v);
  }
  /// An Index of the text.
  void index(const std::string& name, std::int64_t v, bool wide);
  /// A Divisor of the text.
  void divisor(const std::string& name, std::int64_t v, bool wide);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const Arguments& arguments() const { return arguments_; }

 private:
  void declare(const std::string& declaration) { text_ += (text_.empty() ? "" : ", ") + declaration; }
  std::string text_;
  Arguments arguments_;
};

/// "using Index = …; using Divisor = …;".
std::string index_types(bool wide);

}  // namespace reprise::kernels::cuda
