// The inside of Expr, for the files of this folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sym/expr.h"

namespace reprise::sym {

struct Expr::Node {
  Op op;
  bool real = false;  // the value is a real
  std::size_t hash = 0;
  double real_value = 0;
  std::string name;
  std::vector<Expr> operands;
};

struct ExprAccess {
  static Expr wrap(std::shared_ptr<const Expr::Node> node) { return Expr(std::move(node)); }
  static const Expr::Node* node(const Expr& e) { return e.node_.get(); }
};

/// A node as given, no simplification.
Expr raw_node(Op op, std::vector<Expr> operands);
bool is_n_ary(Op op);
/// The constant's value; nullopt for anything else.
std::optional<Number> constant_value(const Expr& e);
Expr constant(const Number& value);

/// out = op(operands). Returns null, or what is wrong (overflow, division by zero, domain). Allocates nothing.
const char* apply(Op op, std::span<const Number> operands, Number& out);
/// One step of an n-ary operation: acc = op(acc, x).
const char* accumulate(Op op, Number& acc, const Number& x);

}  // namespace reprise::sym
