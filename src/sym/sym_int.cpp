#include "sym/sym_int.h"

namespace reprise {
namespace {

SymInt wrap(sym::Expr expr) { return SymInt(std::make_shared<const SymInt::Impl>(SymInt::Impl{std::move(expr)})); }

}  // namespace

SymInt::SymInt(std::int64_t value) : SymInt(std::make_shared<const Impl>(Impl{sym::Expr(value)})) {}
std::optional<std::int64_t> SymInt::as_int() const { return impl_->expr.as_int(); }
std::string SymInt::str() const { return impl_->expr.str(); }

bool operator==(const SymInt& a, const SymInt& b) { return a.impl_->expr == b.impl_->expr; }
SymInt operator+(const SymInt& a, const SymInt& b) { return wrap(a.impl_->expr + b.impl_->expr); }
SymInt operator-(const SymInt& a, const SymInt& b) { return wrap(a.impl_->expr - b.impl_->expr); }
SymInt operator*(const SymInt& a, const SymInt& b) { return wrap(a.impl_->expr * b.impl_->expr); }
SymInt floor_div(const SymInt& a, const SymInt& b) { return wrap(sym::floor_div(a.impl_->expr, b.impl_->expr)); }
SymInt mod(const SymInt& a, const SymInt& b) { return wrap(sym::mod(a.impl_->expr, b.impl_->expr)); }
SymInt min(const SymInt& a, const SymInt& b) { return wrap(sym::min(a.impl_->expr, b.impl_->expr)); }
SymInt max(const SymInt& a, const SymInt& b) { return wrap(sym::max(a.impl_->expr, b.impl_->expr)); }

}  // namespace reprise
