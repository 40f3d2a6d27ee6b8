// PyTorch's text form of a schema.
#include <charconv>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "ops/converter.h"

namespace reprise::ops {
namespace {

using ir::Arg;
using sym::Expr;

class SchemaParser {
 public:
  explicit SchemaParser(std::string_view text) : text_(text) {}

  Schema parse() {
    Schema out;
    out.target = target();
    expect('(');
    bool keyword_only = false;
    for (bool first = true; !accept(')'); first = false) {
      if (!first) expect(',');
      if (accept('*')) {
        keyword_only = true;
      } else {
        out.params.push_back(param(keyword_only));
      }
    }
    return out;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const { REPRISE_FAIL(InvalidArgument, "[ops/schema] {} at column {} of '{}'", what, at_, text_); }

  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool accept(char c) {
    skip_spaces();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("'{}' is missing", c));
  }

  /// Up to one of `stops`.
  std::string_view until(std::string_view stops) {
    skip_spaces();
    const auto end = std::min(text_.find_first_of(stops, at_), text_.size());
    const auto word = text_.substr(at_, end - at_);
    at_ = end;
    return word;
  }

  /// "aten::add.Tensor" → "aten.add.Tensor"; ATen-like ops without an overload are ".default", Python's own functions have no overloads.
  std::string target() {
    const auto full = until("(");
    const auto colons = full.find("::");
    if (colons == std::string_view::npos || colons == 0 || colons + 2 == full.size()) fail("namespace::name is missing");
    const auto space = full.substr(0, colons), op = full.substr(colons + 2);
    const bool plain = space == "higher_order" || space == "_operator" || space == "math" || space == "torch";
    const bool overloaded = plain || op.find('.') != std::string_view::npos;
    return fmt::format("{}.{}{}", space, op, overloaded ? "" : ".default");
  }

  Param param(bool keyword_only) {
    Param out;
    out.keyword_only = keyword_only;
    out.type = type();
    out.name = std::string(until(" =,)"));
    if (out.name.empty()) std::swap(out.name, out.type);  // Python's own functions have no types
    if (out.name.empty()) fail("a parameter's name is missing");
    if (accept('=')) out.fallback = fallback(out.type);
    return out;
  }

  /// A type without its alias mark: "Tensor(a!)?" → "Tensor?".
  std::string type() {
    std::string out;
    for (skip_spaces(); at_ < text_.size() && text_[at_] != ' ' && text_[at_] != ',' && text_[at_] != ')' && text_[at_] != '='; ++at_) {
      if (text_[at_] != '(') {
        out += text_[at_];
        continue;
      }
      at_ = text_.find(')', at_);
      if (at_ == std::string_view::npos) fail("an alias mark does not end");
    }
    skip_spaces();
    return out;
  }

  Arg fallback(std::string_view type) {
    if (accept('[')) return list(type);
    if (peek() == '"' || peek() == '\'') return quoted();
    const Arg value = literal(until(" ,)"), type);
    const auto* number = std::get_if<Expr>(&value);
    const auto count = fixed_length(type);
    return number != nullptr && count > 0 ? Arg(std::vector<Expr>(count, *number)) : value;
  }

  Arg quoted() {
    const char quote = text_[at_++];
    const auto end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail("a string does not end");
    std::string out(text_.substr(at_, end - at_));
    at_ = end + 1;
    return out;
  }

  Arg list(std::string_view type) {
    std::vector<Arg> items;
    while (!accept(']')) {
      if (!items.empty()) expect(',');
      items.push_back(literal(until(",] "), type));
    }
    if (type.starts_with("float")) return collect<double>(items);
    if (type.starts_with("bool")) return collect<bool>(items);
    return collect<Expr>(items);
  }

  template <class T>
  Arg collect(const std::vector<Arg>& items) const {
    std::vector<T> out;
    for (const Arg& item : items) {
      if (!std::holds_alternative<T>(item)) fail("a list mixes types");
      out.push_back(std::get<T>(item));
    }
    return out;
  }

  /// N of "int[N]"; 0 when there is none.
  static std::size_t fixed_length(std::string_view type) {
    const auto open = type.find('[');
    std::size_t n = 0;
    if (open != std::string_view::npos) std::from_chars(type.data() + open + 1, type.data() + type.size(), n);
    return n;
  }

  Arg literal(std::string_view word, std::string_view type) const {
    if (word == "None") return ir::None{};
    if (word == "True" || word == "False") return word == "True";
    if (word == "Mean") return Expr(1);  // names of at::Reduction
    if (word == "Sum") return Expr(2);
    if (word == "contiguous_format") return ir::MemoryFormat{1};
    if (word == "preserve_format") return ir::MemoryFormat{4};
    return number(word, type.starts_with("float"));
  }

  Arg number(std::string_view word, bool real) const {
    if (word == "inf" || word == "-inf") return word == "inf" ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
    const char* const end = word.data() + word.size();
    std::int64_t integer = 0;
    if (!real && std::from_chars(word.data(), end, integer).ptr == end && !word.empty()) return Expr(integer);
    double value = 0;
    if (word.empty() || std::from_chars(word.data(), end, value).ptr != end) fail(fmt::format("'{}' is no default value", word));
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Schema parse_schema(std::string_view text) { return SchemaParser(text).parse(); }

}  // namespace reprise::ops
