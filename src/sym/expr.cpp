#include "sym/expr.h"

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "base/hash.h"
#include "sym/node.h"

namespace reprise::sym {
namespace {

const std::string kNoName;

bool valid_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.'; };
  return !name.empty() && letter(name.front()) && std::all_of(name.begin(), name.end(), inner);
}

bool has_real_value(Op op, std::span<const Expr> operands) {
  switch (op) {
    case Op::true_div:
    case Op::to_float:
    case Op::sqrt:
      return true;
    case Op::where:
      return operands[1].is_real() || operands[2].is_real();
    case Op::add:
    case Op::mul:
    case Op::pow:
    case Op::floor_div:
    case Op::mod:
    case Op::min:
    case Op::max:
    case Op::abs:
      return std::any_of(operands.begin(), operands.end(), [](const Expr& e) { return e.is_real(); });
    default:
      return false;
  }
}

/// "s2" before "s10".
int compare_names(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

int three_way(auto a, auto b) { return a < b ? -1 : (b < a ? 1 : 0); }

}  // namespace

Expr raw_node(Op op, std::vector<Expr> operands) {
  auto node = std::make_shared<Expr::Node>();
  node->op = op;
  node->real = has_real_value(op, operands);
  std::uint64_t h = static_cast<std::uint64_t>(op) + 1;
  for (const Expr& e : operands) h = base::hash_combine(h, e.hash());
  node->hash = h;
  node->operands = std::move(operands);
  return ExprAccess::wrap(std::move(node));
}

Expr Expr::symbol(std::string_view name) {
  REPRISE_CHECK(valid_name(name), InvalidArgument, "[sym/symbol] not a symbol's name (got '{}')", name);
  auto node = std::make_shared<Node>();
  node->op = Op::symbol;
  node->name = name;
  node->real = name.starts_with("zf") || name.starts_with("zuf");
  node->hash = base::hash64(name);
  return Expr(std::move(node));
}

Expr Expr::real(double value) {
  auto node = std::make_shared<Node>();
  node->op = Op::real;
  node->real = true;
  node->real_value = value;
  node->hash = base::hash_combine(2, std::bit_cast<std::uint64_t>(value));
  return Expr(std::move(node));
}

Op Expr::op() const { return node_ ? node_->op : Op::integer; }
std::span<const Expr> Expr::operands() const { return node_ ? std::span<const Expr>(node_->operands) : std::span<const Expr>(); }
const std::string& Expr::symbol_name() const { return node_ ? node_->name : kNoName; }
double Expr::real_value() const { return node_ ? node_->real_value : static_cast<double>(value_); }
std::optional<std::int64_t> Expr::as_int() const { return node_ ? std::nullopt : std::optional(value_); }
bool Expr::is_real() const { return node_ && node_->real; }
std::size_t Expr::hash() const { return node_ ? node_->hash : base::hash_combine(1, static_cast<std::uint64_t>(value_)); }

int Expr::compare(const Expr& other) const {
  if (node_ == other.node_) return node_ ? 0 : three_way(value_, other.value_);
  const auto rank = [](const Expr& e) { return e.is_int() ? 0 : e.op() == Op::real ? 1 : e.op() == Op::symbol ? 2 : 3 + static_cast<int>(e.op()); };
  if (const int c = three_way(rank(*this), rank(other))) return c;
  if (op() == Op::symbol) return compare_names(node_->name, other.node_->name);
  if (op() == Op::real) return three_way(std::bit_cast<std::uint64_t>(node_->real_value), std::bit_cast<std::uint64_t>(other.node_->real_value));
  const auto mine = operands(), theirs = other.operands();
  if (const int c = three_way(mine.size(), theirs.size())) return c;
  for (std::size_t i = 0; i < mine.size(); ++i) {
    if (const int c = mine[i].compare(theirs[i])) return c;
  }
  return 0;
}

bool operator==(const Expr& a, const Expr& b) {
  if (!a.node_ || !b.node_) return !a.node_ && !b.node_ && a.value_ == b.value_;
  return a.node_ == b.node_ || (a.node_->hash == b.node_->hash && a.compare(b) == 0);
}

Expr operator+(const Expr& a, const Expr& b) { return Expr::make(Op::add, std::array{a, b}); }
Expr operator*(const Expr& a, const Expr& b) { return Expr::make(Op::mul, std::array{a, b}); }
Expr operator-(const Expr& a) { return a * -1; }
Expr operator-(const Expr& a, const Expr& b) { return a + -b; }

Expr floor_div(const Expr& a, const Expr& b) { return Expr::make(Op::floor_div, std::array{a, b}); }
Expr ceil_div(const Expr& a, const Expr& b) { return -floor_div(-a, b); }
Expr mod(const Expr& a, const Expr& b) { return Expr::make(Op::mod, std::array{a, b}); }
Expr pow(const Expr& a, const Expr& b) { return Expr::make(Op::pow, std::array{a, b}); }
Expr true_div(const Expr& a, const Expr& b) { return Expr::make(Op::true_div, std::array{a, b}); }
Expr min(const Expr& a, const Expr& b) { return Expr::make(Op::min, std::array{a, b}); }
Expr max(const Expr& a, const Expr& b) { return Expr::make(Op::max, std::array{a, b}); }
Expr compare(Op relation, const Expr& a, const Expr& b) {
  REPRISE_CHECK(relation >= Op::eq && relation <= Op::ge, InvalidArgument, "[sym/compare] not a relation (got operation {})", static_cast<int>(relation));
  return Expr::make(relation, std::array{a, b});
}
Expr where(const Expr& condition, const Expr& a, const Expr& b) { return Expr::make(Op::where, std::array{condition, a, b}); }

Expr product(std::span<const Expr> factors) { return factors.empty() ? Expr(1) : Expr::make(Op::mul, factors); }

Shape contiguous_strides(std::span<const Expr> sizes) {
  Shape strides(sizes.size(), 1);
  for (std::size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * sizes[i];
  return strides;
}

bool equal(std::span<const Expr> a, std::span<const Expr> b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
bool is_static(std::span<const Expr> sizes) {
  return std::all_of(sizes.begin(), sizes.end(), [](const Expr& e) { return e.is_int(); });
}

namespace {

void collect_symbols(const Expr& e, std::unordered_set<const Expr::Node*>& seen, std::vector<std::string>& out) {
  const Expr::Node* node = ExprAccess::node(e);
  if (!node || !seen.insert(node).second) return;
  if (node->op == Op::symbol && std::find(out.begin(), out.end(), node->name) == out.end()) out.push_back(node->name);
  for (const Expr& operand : node->operands) collect_symbols(operand, seen, out);
}

using Replacement = std::function<std::optional<Expr>(const std::string&)>;

const Expr& substitute(const Expr& e, const Replacement& f, std::unordered_map<const Expr::Node*, Expr>& done) {
  const Expr::Node* node = ExprAccess::node(e);
  if (!node || node->op == Op::real) return e;
  if (const auto it = done.find(node); it != done.end()) return it->second;
  if (node->op == Op::symbol) return done.emplace(node, f(node->name).value_or(e)).first->second;
  std::vector<Expr> operands;
  for (const Expr& operand : node->operands) operands.push_back(substitute(operand, f, done));
  Expr replaced = equal(operands, node->operands) ? e : Expr::make(node->op, operands);
  return done.emplace(node, std::move(replaced)).first->second;
}

}  // namespace

void collect_symbols(const Expr& e, std::vector<std::string>& out) {
  std::unordered_set<const Expr::Node*> seen;
  collect_symbols(e, seen, out);
}

Expr substitute(const Expr& e, const Replacement& f) {
  std::unordered_map<const Expr::Node*, Expr> done;
  return substitute(e, f, done);
}

}  // namespace reprise::sym
