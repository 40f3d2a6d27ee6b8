// Contractions that name their dimensions: einsum, tensordot and the bilinear forms.
#include <algorithm>
#include <cctype>
#include <map>
#include <numeric>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/contract.h"

namespace reprise::ops {
namespace {

constexpr int kEllipsis = -1;           // stands for "..." in a parsed term
constexpr int kFirstEllipsisDim = 256;  // labels of the dimensions that "..." covers, after all letters

std::vector<int> parse_term(std::string_view text) {
  std::vector<int> labels;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text.substr(i, 3) == "...") {
      labels.push_back(kEllipsis);
      i += 2;
    } else {
      REPRISE_CHECK(std::isalpha(static_cast<unsigned char>(text[i])), InvalidArgument, "[ops/einsum] '{}' is not a label", text[i]);
      labels.push_back(text[i]);
    }
  }
  return labels;
}

std::vector<std::vector<int>> parse_terms(std::string_view text) {
  std::vector<std::vector<int>> out;
  for (std::size_t at = 0; at != std::string_view::npos;) {
    const auto comma = text.find(',', at);
    out.push_back(parse_term(text.substr(at, comma - at)));
    at = comma == std::string_view::npos ? comma : comma + 1;
  }
  return out;
}

/// "..." replaced by the last `count` of `total` labels: ellipses align at their right end.
std::vector<int> expand_ellipsis(const std::vector<int>& labels, int count, int total) {
  std::vector<int> out;
  for (int l : labels) {
    if (l != kEllipsis) out.push_back(l);
    if (l == kEllipsis)
      for (int i = total - count; i < total; ++i) out.push_back(kFirstEllipsisDim + i);
  }
  return out;
}

/// Letters that stand once in all the terms, in alphabetical order, after the ellipsis.
std::vector<int> implicit_output(const std::vector<std::vector<int>>& terms) {
  std::map<int, int> times;
  for (const auto& term : terms)
    for (int l : term) ++times[l];
  std::vector<int> out;
  for (const auto& [label, n] : times)
    if (n == 1 || label == kEllipsis) out.push_back(label);
  return out;
}

/// Takes the diagonal of dimensions that share a label.
Labelled with_diagonals(Builder& b, Val x, std::vector<int> labels) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::size_t j = i + 1; j < labels.size();) {
      if (labels[j] != labels[i]) {
        ++j;
        continue;
      }
      const int label = labels[i];
      x = move_dim(b, b.diagonal(x, 0, static_cast<int>(i), static_cast<int>(j)), x.rank() - 2, static_cast<int>(i));
      labels.erase(labels.begin() + static_cast<std::ptrdiff_t>(j));
      labels[i] = label;
    }
  return {x, labels};
}

void convert_einsum(Context& c) {
  Builder& b = c.build();
  const std::string equation = c.text("equation");
  const auto arrow = equation.find("->");
  const auto terms = parse_terms(std::string_view(equation).substr(0, arrow));
  const std::vector<Val> tensors = c.tensors("tensors");
  REPRISE_CHECK(terms.size() == tensors.size(), InvalidArgument, "[ops/einsum] wrong number of operands (got {}, want {})", tensors.size(), terms.size());

  std::vector<int> covered;  // how many dimensions each "..." stands for
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const bool has = std::count(terms[i].begin(), terms[i].end(), kEllipsis) > 0;
    covered.push_back(has ? tensors[i].rank() - static_cast<int>(terms[i].size()) + 1 : 0);
  }
  const int total = *std::max_element(covered.begin(), covered.end());
  std::vector<Labelled> operands;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const auto labels = expand_ellipsis(terms[i], covered[i], total);
    REPRISE_CHECK(static_cast<int>(labels.size()) == tensors[i].rank(), ShapeError, "[ops/einsum] operand {} has another rank than '{}' says (got {})", i,
                  equation, tensors[i].rank());
    operands.push_back(with_diagonals(b, tensors[i], labels));
  }
  const auto output = arrow == std::string::npos ? implicit_output(terms) : parse_term(std::string_view(equation).substr(arrow + 2));
  c.set(0, contract(b, std::move(operands), expand_ellipsis(output, total, total)));
}

// ---- other contractions ----

void convert_tensordot(Context& c) {
  const Val x = c.tensor("self"), y = c.tensor("other");
  const auto dims_x = c.fixed_ints("dims_self"), dims_y = c.fixed_ints("dims_other");
  std::vector<int> left(static_cast<std::size_t>(x.rank())), right(static_cast<std::size_t>(y.rank()));
  std::iota(left.begin(), left.end(), 0);
  std::iota(right.begin(), right.end(), x.rank());
  std::vector<int> out = left;
  out.insert(out.end(), right.begin(), right.end());
  for (std::size_t i = 0; i < dims_x.size(); ++i) {
    const int dx = ir::wrap_dim(static_cast<int>(dims_x[i]), x.rank(), "tensordot"), dy = ir::wrap_dim(static_cast<int>(dims_y[i]), y.rank(), "tensordot");
    std::erase(out, right[static_cast<std::size_t>(dy)]);
    std::erase(out, dx);
    right[static_cast<std::size_t>(dy)] = dx;
  }
  c.set(0, c.build().cast(contract(c.build(), {{x, left}, {y, right}}, out), x.dtype()));  // sums of one operand too
}

void convert_bilinear(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("input1"), y = c.tensor("input2"), w = c.tensor("weight"), bias = c.tensor_or_none("bias");
  const int batch = x.rank() - 1, i = batch, j = batch + 1, o = batch + 2;
  std::vector<int> left(static_cast<std::size_t>(batch));
  std::iota(left.begin(), left.end(), 0);
  std::vector<int> right = left, out = left;
  left.push_back(i);
  right.push_back(j);
  out.push_back(o);
  const Val product = contract(b, {{x, left}, {w, {o, i, j}}, {y, right}}, out);
  c.set(0, bias.defined() ? b.binary(ScalarOp::add, product, bias) : product);
}

/// The dimensions of x among those of the common space: `absent` are the ones that x lacks.
Labelled placed(Val x, const std::vector<std::int64_t>& absent) {
  Labelled out{x, {}};
  for (int d = 0; static_cast<int>(out.labels.size()) < x.rank(); ++d)
    if (std::find(absent.begin(), absent.end(), d) == absent.end()) out.labels.push_back(d);
  return out;
}

void convert_trilinear(Context& c) {
  const auto summed = c.fixed_ints("sumdim"), absent = c.fixed_ints("expand1");
  const int rank = c.tensor("i1").rank() + static_cast<int>(absent.size());
  std::vector<int> out;
  for (int d = 0; d < rank; ++d)
    if (std::find(summed.begin(), summed.end(), d) == summed.end()) out.push_back(d);
  c.set(0, contract(c.build(),
                    {placed(c.tensor("i1"), absent), placed(c.tensor("i2"), c.fixed_ints("expand2")), placed(c.tensor("i3"), c.fixed_ints("expand3"))}, out));
}

}  // namespace

void add_einsum(Registry& r) {
  add_rows(r, convert_einsum, {"aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor"});
  add_rows(r, convert_tensordot, {"aten::tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor"});
  add_rows(r, convert_bilinear, {"aten::bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor"});
  add_rows(r, convert_trilinear,
           {"aten::_trilinear(Tensor i1, Tensor i2, Tensor i3, int[] expand1, int[] expand2, int[] expand3, int[] sumdim, int unroll_dim=1) -> Tensor"});
}

}  // namespace reprise::ops
