// A matrix product as a plain one: one matrix times another, or as many as a batch has.
#pragma once

#include <optional>

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// All operands of rank 2, or of rank 3 where each matrix of a batch has a factor of its own. Every matrix has dense rows or dense columns, and dimensions of
/// size 1 have the strides that such a layout gives them.
struct Product {
  OperandRef a, b, y, bias, addend;
  bool has_bias = false, has_addend = false;
};

/// nullopt: operands of several dtypes, that are empty, or that lie otherwise.
std::optional<Product> describe_product(const Contraction& matmul);

/// The addend lies as the result does.
bool lies_as(const OperandRef& a, const OperandRef& y);
/// A bias that is the same in every row, which is dense.
bool is_row(const OperandRef& bias);

}  // namespace reprise::kernels::cpu
