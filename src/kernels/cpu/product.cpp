#include "kernels/cpu/product.h"

#include <algorithm>

namespace reprise::kernels::cpu {
namespace {

/// The leading dimensions as one: [B, rows, columns]. False: they do not follow each other.
bool fold_batch(OperandRef& operand) {
  std::int64_t size = 1, stride = 0;
  for (int d = operand.rank - 2; d-- > 0;) {
    const auto i = static_cast<std::size_t>(d);
    if (operand.sizes[i] == 1) continue;
    if (size > 1 && operand.strides[i] != stride * size) return false;
    if (size == 1) stride = operand.strides[i];
    size *= operand.sizes[i];
  }
  const auto rows = static_cast<std::size_t>(operand.rank - 2);
  const std::array sizes{size, operand.sizes[rows], operand.sizes[rows + 1]}, strides{stride, operand.strides[rows], operand.strides[rows + 1]};
  std::copy(sizes.begin(), sizes.end(), operand.sizes.begin());
  std::copy(strides.begin(), strides.end(), operand.strides.begin());
  operand.rank = 3;
  return true;
}

void drop_batch(OperandRef& operand) {
  for (const auto d : {std::size_t{0}, std::size_t{1}}) {
    operand.sizes[d] = operand.sizes[d + 1];
    operand.strides[d] = operand.strides[d + 1];
  }
  operand.rank = 2;
}

/// Rows of the batch one after the other, as one matrix. False: they are not evenly apart.
bool fold_rows(OperandRef& operand) {
  if (operand.sizes[0] > 1 && operand.sizes[1] > 1 && operand.strides[0] != operand.strides[1] * operand.sizes[1]) return false;
  if (operand.sizes[1] == 1) operand.strides[1] = operand.strides[0];
  operand.sizes[1] *= operand.sizes[0];
  drop_batch(operand);
  return true;
}

/// One of the last two dimensions is dense: what its kernels take.
bool has_dense_lines(const OperandRef& operand) {
  const auto rows = static_cast<std::size_t>(operand.rank - 2);
  const auto fits = [&](std::size_t line, std::size_t other) {
    return (operand.sizes[line] == 1 || operand.strides[line] == 1) && (operand.sizes[other] == 1 || operand.strides[other] >= operand.sizes[line]);
  };
  return fits(rows + 1, rows) || fits(rows, rows + 1);
}

/// Dimensions of size 1 with strides that tell it the layout.
OperandRef tidy(OperandRef operand) {
  const auto rows = static_cast<std::size_t>(operand.rank - 2), columns = rows + 1;
  if (operand.sizes[columns] == 1 && operand.strides[rows] != 1) operand.strides[columns] = 1;
  if (operand.sizes[rows] == 1) operand.strides[rows] = operand.strides[columns] == 1 ? operand.sizes[columns] : 1;
  if (operand.sizes[columns] == 1) operand.strides[columns] = operand.strides[rows] == 1 ? operand.sizes[rows] : 1;
  if (operand.rank == 3 && operand.sizes[0] == 1) operand.strides[0] = operand.sizes[rows] * operand.sizes[columns];
  return operand;
}

}  // namespace

std::optional<Product> describe_product(const Contraction& matmul) {
  const auto& spec = matmul.spec;
  Product p{.a = spec.inputs[0], .b = spec.inputs[1], .y = spec.outputs[0], .bias = {}, .addend = {}};
  p.has_bias = spec.inputs.size() > 2;
  p.has_addend = matmul.addend != nullptr;
  if (p.has_bias) p.bias = spec.inputs[2];
  if (p.has_addend) p.addend = *matmul.addend;
  std::vector<OperandRef*> all{&p.a, &p.b, &p.y};
  if (p.has_bias) all.push_back(&p.bias);
  if (p.has_addend) all.push_back(&p.addend);
  for (OperandRef* o : all) {
    if (o->rank < 2 || o->numel() == 0 || o->dtype != p.y.dtype || !fold_batch(*o)) return std::nullopt;
  }
  const bool shared = p.b.sizes[0] == 1 || p.b.strides[0] == 0;
  if (p.y.sizes[0] == 1 || shared) {
    for (OperandRef* o : all) {
      if (o == &p.b)
        drop_batch(*o);
      else if (!fold_rows(*o))
        return std::nullopt;
    }
  }
  // What does not fit together is for the plain kernel to refuse.
  const auto row = static_cast<std::size_t>(p.y.rank - 2), column = row + 1;
  const bool fits = p.a.sizes[row] == p.y.sizes[row] && p.a.sizes[column] == p.b.sizes[row] && p.b.sizes[column] == p.y.sizes[column];
  if (!fits || (p.y.rank == 3 && (p.a.sizes[0] != p.y.sizes[0] || p.b.sizes[0] != p.y.sizes[0]))) return std::nullopt;
  for (OperandRef* o : {&p.bias, &p.addend})
    if ((o == &p.bias ? p.has_bias : p.has_addend) && !std::equal(o->shape().begin(), o->shape().end(), p.y.shape().begin(), p.y.shape().end()))
      return std::nullopt;
  for (OperandRef* o : {&p.a, &p.b, &p.y}) {
    *o = tidy(*o);
    if (!has_dense_lines(*o)) return std::nullopt;
  }
  return p;
}

bool lies_as(const OperandRef& a, const OperandRef& y) {
  for (std::size_t d = 0; d < static_cast<std::size_t>(y.rank); ++d) {
    if (y.sizes[d] > 1 && a.strides[d] != y.strides[d]) return false;
  }
  return true;
}

bool is_row(const OperandRef& bias) {
  for (int d = 0; d + 1 < bias.rank; ++d) {
    if (bias.sizes[static_cast<std::size_t>(d)] > 1 && bias.strides[static_cast<std::size_t>(d)] != 0) return false;
  }
  const auto columns = static_cast<std::size_t>(bias.rank - 1);
  return bias.sizes[columns] == 1 || bias.strides[columns] == 1;
}

}  // namespace reprise::kernels::cpu
