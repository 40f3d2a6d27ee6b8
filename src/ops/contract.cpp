#include "ops/contract.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "ir/shapes.h"

namespace reprise::ops {
namespace {

using Labels = std::vector<int>;

bool holds(const Labels& labels, int label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }

template <class Keep>
Labels filter(const Labels& labels, const Keep& keep) {
  Labels out;
  std::copy_if(labels.begin(), labels.end(), std::back_inserter(out), keep);
  return out;
}

Labels joined(std::initializer_list<Labels> parts) {
  Labels out;
  for (const Labels& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}

/// Dimensions of 1 whose label is larger elsewhere are dropped: they broadcast.
void drop_broadcast(Builder& b, std::vector<Labelled>& operands) {
  std::map<int, Expr> sizes;
  for (const Labelled& o : operands)
    for (int d = 0; d < o.x.rank(); ++d) {
      const auto [at, is_new] = sizes.try_emplace(o.labels[static_cast<std::size_t>(d)], o.x.size(d));
      if (!is_new && ir::is_const(at->second, 1)) at->second = o.x.size(d);
    }
  for (Labelled& o : operands)
    for (int d = o.x.rank() - 1; d >= 0; --d) {
      const auto at = o.labels.begin() + d;
      if (!ir::is_const(o.x.size(d), 1) || ir::is_const(sizes.at(*at), 1)) continue;
      o.x = b.squeeze(o.x, d);
      o.labels.erase(at);
    }
}

Labelled ordered(Builder& b, const Labelled& o, const Labels& order) {
  std::vector<int> dims;
  for (int label : order) dims.push_back(static_cast<int>(std::find(o.labels.begin(), o.labels.end(), label) - o.labels.begin()));
  return {b.permute(o.x, dims), order};
}

Labelled sum_out(Builder& b, Labelled o, const Labels& keep) {
  std::vector<int> axes;
  for (int d = 0; d < o.x.rank(); ++d)
    if (!holds(keep, o.labels[static_cast<std::size_t>(d)])) axes.push_back(d);
  if (axes.empty()) return o;
  const DType type = is_floating(o.x.dtype()) ? o.x.dtype() : DType::i64;  // PyTorch sums one operand as torch.sum does, a product of two in its own type
  return {sum(b, b.cast(o.x, type), axes), filter(o.labels, [&](int l) { return holds(keep, l); })};
}

Shape sizes_of(const Labelled& o, std::size_t first, std::size_t count) {
  const auto from = o.x.sizes().begin() + static_cast<std::ptrdiff_t>(first);
  return {from, from + static_cast<std::ptrdiff_t>(count)};
}

/// Labels [batch, rows, inner] x [batch, inner, columns] as one (batched) matrix product.
Labelled multiply(Builder& b, const Labelled& x, const Labelled& y, std::size_t batch, std::size_t rows, std::size_t inner, std::size_t columns) {
  const auto matrix = [&](const Labelled& o, std::size_t first, std::size_t second) {
    Shape sizes = sizes_of(o, 0, batch);
    sizes.push_back(sym::product(sizes_of(o, batch, first)));
    sizes.push_back(sym::product(sizes_of(o, batch + first, second)));
    return b.reshape(o.x, sizes);
  };
  const Val product = b.matmul(matrix(x, rows, inner), matrix(y, inner, columns));
  Shape sizes = sizes_of(x, 0, batch + rows);
  for (const Expr& e : sizes_of(y, batch + inner, columns)) sizes.push_back(e);
  Labels labels(x.labels.begin(), x.labels.begin() + static_cast<std::ptrdiff_t>(batch + rows));
  labels.insert(labels.end(), y.labels.begin() + static_cast<std::ptrdiff_t>(batch + inner), y.labels.end());
  return {b.reshape(product, sizes), labels};
}

/// Both times each other, elementwise: labels [batch, rows] x [batch, columns].
Labelled multiply_each(Builder& b, Labelled x, Labelled y, std::size_t batch, std::size_t rows, std::size_t columns) {
  for (std::size_t i = 0; i < columns; ++i) x.x = b.unsqueeze(x.x, x.x.rank());
  for (std::size_t i = 0; i < rows; ++i) y.x = b.unsqueeze(y.x, static_cast<int>(batch));
  const Labels extra(y.labels.begin() + static_cast<std::ptrdiff_t>(batch), y.labels.end());
  return {b.binary(ScalarOp::mul, x.x, y.x), joined({x.labels, extra})};
}

Labelled contract_pair(Builder& b, Labelled x, Labelled y, const Labels& keep) {
  x = sum_out(b, x, joined({keep, y.labels}));
  y = sum_out(b, y, joined({keep, x.labels}));
  std::tie(x.x, y.x) = promoted(b, x.x, y.x);
  const Labels batch = filter(x.labels, [&](int l) { return holds(y.labels, l) && holds(keep, l); });
  const Labels inner = filter(x.labels, [&](int l) { return holds(y.labels, l) && !holds(keep, l); });
  const Labels rows = filter(x.labels, [&](int l) { return !holds(y.labels, l); });
  const Labels columns = filter(y.labels, [&](int l) { return !holds(x.labels, l); });
  if (inner.empty())
    return multiply_each(b, ordered(b, x, joined({batch, rows})), ordered(b, y, joined({batch, columns})), batch.size(), rows.size(), columns.size());
  return multiply(b, ordered(b, x, joined({batch, rows, inner})), ordered(b, y, joined({batch, inner, columns})), batch.size(), rows.size(), inner.size(),
                  columns.size());
}

}  // namespace

Val contract(Builder& b, std::vector<Labelled> operands, const std::vector<int>& output) {
  drop_broadcast(b, operands);
  Labelled result = operands[0];
  for (std::size_t i = 1; i < operands.size(); ++i) {
    Labels keep = output;
    for (std::size_t j = i + 1; j < operands.size(); ++j) keep = joined({keep, operands[j].labels});
    result = contract_pair(b, result, operands[i], keep);
  }
  result = sum_out(b, result, output);
  for (int label : output)
    if (!holds(result.labels, label)) {
      result.x = b.unsqueeze(result.x, 0);
      result.labels.insert(result.labels.begin(), label);
    }
  return ordered(b, result, output).x;
}

namespace {

/// x[…, M, K] as [prod, K] when that is a view: one large product instead of many.
std::optional<Val> as_rows(Builder& b, Val x) {
  const Shape leading(x.sizes().begin(), x.sizes().end() - 1);
  return b.try_view(x, {sym::product(leading), x.size(-1)});
}

/// x[…, K] · y[K, N] (+ bias[N]).
Val multiply_rows(Builder& b, Val x, Val y, Val bias) {
  if (x.rank() <= 2) return b.matmul(x, y, bias);
  const auto rows = as_rows(b, x);
  if (!rows) return b.matmul(x, y, bias);
  Shape sizes = x.sizes();
  sizes.back() = y.size(1);
  return b.reshape(b.matmul(*rows, y, bias), sizes);
}

}  // namespace

Val matmul(Builder& b, Val x, Val y) {
  const Val left = x.rank() == 1 ? b.unsqueeze(x, 0) : x, right = y.rank() == 1 ? b.unsqueeze(y, 1) : y;
  Val out = right.rank() == 2 ? multiply_rows(b, left, right, {}) : b.matmul(left, right);
  Shape sizes = out.sizes();
  if (y.rank() == 1) sizes.pop_back();
  if (x.rank() == 1) sizes.erase(sizes.end() - (y.rank() == 1 ? 1 : 2));
  return b.reshape(out, sizes);
}

Val linear(Builder& b, Val x, Val w, Val bias) {
  if (w.rank() == 1) {
    const Val out = matmul(b, x, w);
    return bias.defined() ? b.binary(ScalarOp::add, out, bias) : out;
  }
  const Val right = b.transpose(w, 0, 1);
  if (x.rank() > 1) return multiply_rows(b, x, right, bias);
  return b.squeeze(multiply_rows(b, b.unsqueeze(x, 0), right, bias), 0);
}

}  // namespace reprise::ops
