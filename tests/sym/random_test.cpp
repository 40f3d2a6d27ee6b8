// Random expressions: the canonical form has the value that the plain tree has, lies in its bounds, and survives its text.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "reprise/error.h"
#include "sym/evaluate.h"

namespace reprise::sym {
namespace {

using Wide = __int128;

/// A tree and its value computed beside Expr, by Python's rules. No value: a division by zero or a number beyond 40 bits occurred.
struct Sample {
  Expr expr;
  std::optional<std::int64_t> value;
};

std::optional<std::int64_t> checked(Wide v) {
  const Wide limit = Wide{1} << 40;
  return v > -limit && v < limit ? std::optional(static_cast<std::int64_t>(v)) : std::nullopt;
}

std::int64_t python_div(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(std::floor(static_cast<long double>(a) / static_cast<long double>(b)));
}

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {
    for (const char* name : {"s0", "s1", "s2"}) {
      values_[name] = pick(1, 12);
      table_.add({.name = name, .range = {1, 12}});
    }
  }

  Sample tree(int depth) {
    if (depth == 0 || pick(0, 5) == 0) return leaf();
    const Sample a = tree(depth - 1), b = tree(depth - 1);
    const bool valid = a.value && b.value;
    const std::int64_t x = a.value.value_or(0), y = b.value.value_or(0);
    const auto sample = [&](Expr e, Wide v, bool defined = true) { return Sample{std::move(e), valid && defined ? checked(v) : std::nullopt}; };
    switch (pick(0, 11)) {
      case 0:
      case 1:
        return sample(a.expr + b.expr, Wide{x} + y);
      case 2:
        return sample(a.expr - b.expr, Wide{x} - y);
      case 3:
      case 4:
        return sample(a.expr * b.expr, Wide{x} * y);
      case 5:
      case 6:
        return sample(floor_div(a.expr, b.expr), y ? python_div(x, y) : 0, y != 0);
      case 7:
        return sample(mod(a.expr, b.expr), y ? x - Wide{y} * python_div(x, y) : 0, y != 0);
      case 8:
        return sample(min(a.expr, b.expr), std::min(x, y));
      case 9:
        return sample(max(a.expr, b.expr), std::max(x, y));
      case 10:
        return sample(where(compare(Op::lt, a.expr, b.expr), a.expr, 3), x < y ? x : 3);
      default:
        return sample(Expr::make(Op::logical_not, std::vector<Expr>{compare(Op::eq, a.expr, b.expr)}), x != y);
    }
  }

  std::optional<Number> value_of(const std::string& name) const { return Number::of(values_.at(name)); }
  const SymbolTable& table() const { return table_; }
  std::vector<Number> values() const {
    std::vector<Number> out;
    for (const SymbolInfo& s : table_.all()) out.push_back(Number::of(values_.at(s.name)));
    return out;
  }

 private:
  std::int64_t pick(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random_); }
  Sample leaf() {
    if (pick(0, 2) == 0) {
      const std::int64_t v = pick(-6, 9);
      return {v, v};
    }
    const std::string name = "s" + std::to_string(pick(0, 2));
    return {Expr::symbol(name), values_[name]};
  }

  std::mt19937 random_;
  std::map<std::string, std::int64_t> values_;
  SymbolTable table_;
};

class RandomExpr : public testing::TestWithParam<int> {};

TEST_P(RandomExpr, HasTheTreesValue) {
  int compared = 0;
  for (unsigned i = 0; i < 400; ++i) {
    Generator g(static_cast<unsigned>(GetParam()) * 1000 + i);
    const Sample s = g.tree(4);
    EXPECT_EQ(decode(encode(s.expr)), s.expr) << encode(s.expr);
    if (!s.value) continue;
    // A canonical form may need fewer divisions than the tree, never more.
    const auto got = evaluate(s.expr, [&](const std::string& n) { return g.value_of(n); });
    ASSERT_TRUE(got);
    EXPECT_EQ(got->as_int(), *s.value) << s.expr.str();
    const Range r = bounds(s.expr, g.table());
    EXPECT_LE(r.min, *s.value) << s.expr.str();
    EXPECT_GE(r.max, *s.value) << s.expr.str();
    Evaluator e(g.table());
    const auto slot = static_cast<std::size_t>(e.add(s.expr));
    std::vector<Number> out(static_cast<std::size_t>(e.size()));
    e.run(g.values(), {}, out);
    EXPECT_EQ(out[slot].as_int(), *s.value);
    const Expr known = substitute(s.expr, [&](const std::string& n) { return std::optional<Expr>(g.value_of(n)->integer); });
    EXPECT_EQ(known, Expr(*s.value)) << s.expr.str();
    const Expr simple = simplify(s.expr, g.table());
    EXPECT_EQ(evaluate(simple, [&](const std::string& n) { return g.value_of(n); })->as_int(), *s.value) << s.expr.str() << " -> " << simple.str();
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomExpr, testing::Range(0, 20));

}  // namespace
}  // namespace reprise::sym
