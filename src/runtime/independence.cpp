#include "runtime/independence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>

namespace reprise::runtime {
namespace {

using core::Op;
using plan::Command;
using plan::Operand;
using sym::Expr;

/// How an operand lies to the batch.
struct Lie {
  int dim = -1;          // that counts items; -1: the operand is the same for all
  bool repeats = false;  // with stride 0: every item sees the same
};

struct Refuted {
  std::string why;
};

class Prover {
 public:
  Prover(const plan::Plan& plan, int symbol) : plan_(plan), name_(plan.symbols.at(symbol).name), s_(Expr::symbol(name_)) {}

  /// Throws Refuted.
  Independence prove(int symbol) {
    Independence proven{.symbol = symbol, .why_not = {}, .inputs = {}, .outputs = {}};
    demand(plan_.states.empty(), "the program has state");
    demand(plan_.blocks.size() == 1, "the program has branches");
    for (const auto& input : plan_.inputs) proven.inputs.push_back(is_batch(input));
    for (const auto& output : plan_.outputs) proven.outputs.push_back(is_batch(output));
    for (const auto& buffer : plan_.buffers) demand(!mentions(buffer.size_bytes) || item_of(buffer.size_bytes), "a buffer is not made of items");
    for (const auto& command : plan_.blocks[0].commands) check(command);
    return proven;
  }

 private:
  static void demand(bool holds, std::string why) {
    if (!holds) throw Refuted{std::move(why)};
  }

  [[nodiscard]] bool mentions(const Expr& e) const {
    std::vector<std::string> names;
    sym::collect_symbols(e, names);
    return std::find(names.begin(), names.end(), name_) != names.end();
  }
  [[nodiscard]] bool mention(const sym::Shape& shape) const {
    return std::any_of(shape.begin(), shape.end(), [&](const Expr& e) { return mentions(e); });
  }
  /// c where `e` is c times the batch; nullopt: it is not.
  [[nodiscard]] std::optional<Expr> item_of(const Expr& e) const {
    const Expr c = sym::substitute(e, [&](const std::string& name) { return name == name_ ? std::optional<Expr>(1) : std::nullopt; });
    return !mentions(c) && c * s_ == e ? std::optional(c) : std::nullopt;
  }

  [[nodiscard]] bool is_batch(const plan::InputSpec& input) const {
    demand(!input.mutated, fmt::format("input '{}' is written", input.name));
    demand(input.kind != plan::InputSpec::Kind::integer || !mentions(input.value), "a number tells the batch");
    if (input.kind != plan::InputSpec::Kind::tensor || !mention(input.sizes)) return false;
    demand(input.sizes[0] == s_ && std::none_of(input.sizes.begin() + 1, input.sizes.end(), [&](const Expr& e) { return mentions(e); }),
           fmt::format("input '{}' has it in other places than the first size", input.name));
    return true;
  }
  [[nodiscard]] bool is_batch(const plan::OutputSpec& output) const {
    if (output.kind != plan::OutputSpec::Kind::tensor) {
      demand(!mentions(output.value), fmt::format("output '{}' is made of it", output.name));
      return false;
    }
    if (!mention(output.sizes)) return false;
    demand(item_of(output.sizes[0]) && std::none_of(output.sizes.begin() + 1, output.sizes.end(), [&](const Expr& e) { return mentions(e); }),
           fmt::format("output '{}' has it in other places than the first size", output.name));
    return true;
  }

  /// Items of a buffer follow each other: the operand's one dimension that counts them must step from one to the next.
  [[nodiscard]] Lie lie_of(const Operand& operand) const {
    demand(!mention(operand.strides) && !mentions(operand.offset), "a view depends on the batch");
    Lie lie;
    for (std::size_t d = 0; d < operand.sizes.size(); ++d) {
      if (!mentions(operand.sizes[d])) continue;
      demand(lie.dim < 0, "a view has the batch twice");
      lie.dim = static_cast<int>(d);
    }
    const Expr& bytes = plan_.buffers[static_cast<std::size_t>(operand.buffer)].size_bytes;
    if (!mentions(bytes)) {
      if (lie.dim < 0) return lie;
      demand(operand.strides[static_cast<std::size_t>(lie.dim)] == Expr(0), "a view cuts what all share into items");
      lie.repeats = true;
      return lie;
    }
    demand(lie.dim >= 0, "a view takes some items");
    const auto d = static_cast<std::size_t>(lie.dim);
    const auto per_item = item_of(operand.sizes[d]);
    demand(per_item && *per_item * operand.strides[d] * Expr(static_cast<std::int64_t>(item_size(operand.dtype))) == *item_of(bytes),
           "a view does not step from item to item");
    demand(starts_inside(operand, d, *per_item), "a view reaches from item to item");
    return lie;
  }

  /// Where numbers tell: the view of the first item ends before the second begins. (Symbols: every view lies in its buffer at every size, so at one item too.)
  [[nodiscard]] static bool starts_inside(const Operand& operand, std::size_t dim, const Expr& per_item) {
    const auto offset = operand.offset.as_int(), rows = per_item.as_int(), step = operand.strides[dim].as_int();
    if (!offset || !rows || !step) return true;
    std::int64_t last = *offset + (*rows - 1) * *step;
    for (std::size_t d = 0; d < operand.sizes.size(); ++d) {
      if (d == dim) continue;
      const auto size = operand.sizes[d].as_int(), stride = operand.strides[d].as_int();
      if (!size || !stride) return true;
      if (*stride < 0) return false;
      last += (*size - 1) * *stride;
    }
    return *offset >= 0 && last < *rows * *step;
  }

  void check(const Command& command) {
    try {
      demand(command.defines.empty(), "it counts");
      for (const auto& [key, attr] : command.attrs.items()) check(attr);
      std::vector<Lie> in, out;
      for (const auto& operand : command.inputs) in.push_back(lie_of(operand));
      for (const auto& operand : command.outputs) out.push_back(lie_of(operand));
      const auto batched = [](const Lie& lie) { return lie.dim >= 0; };
      if (std::none_of(in.begin(), in.end(), batched) && std::none_of(out.begin(), out.end(), batched)) return;
      check(command, in, out);
    } catch (const Refuted& refuted) {
      throw Refuted{fmt::format("'{}' ({}): {}", command.name, core::name(command.op), refuted.why)};
    }
  }

  void check(const core::Attr& attr) const {
    bool any = false;
    if (const auto* e = std::get_if<Expr>(&attr)) any = mentions(*e);
    if (const auto* list = std::get_if<std::vector<Expr>>(&attr)) any = mention(*list);
    if (const auto* program = std::get_if<core::ScalarProgramPtr>(&attr)) any = mention((*program)->symbols);
    demand(!any, "an attribute depends on the batch");
  }

  /// All of `lies` count items with dimension `dim`; `or_same`: or are the same for all.
  static void demand_at(std::span<const Lie> lies, int dim, bool or_same = false) {
    for (const Lie& lie : lies) demand(lie.dim == dim || (or_same && lie.dim < 0), "items are not in the same places");
  }
  static void demand_same(std::span<const Lie> lies) {
    for (const Lie& lie : lies) demand(lie.dim < 0, "weights differ by item");
  }
  [[nodiscard]] static int axis(const Command& command, const char* key) {
    const auto value = command.attrs.integer(key).as_int();
    demand(value.has_value(), "its axis is not known");
    return static_cast<int>(*value < 0 ? *value + static_cast<std::int64_t>(command.inputs.at(0).sizes.size()) : *value);
  }

  void check(const Command& command, std::span<const Lie> in, std::span<const Lie> out) const {
    demand(!out.empty(), "it looks at all items");
    const int dim = out.front().dim;
    demand(dim >= 0, "its result has no items");
    demand_at(out, dim);
    const int rank = static_cast<int>(command.outputs[0].sizes.size());
    switch (command.op) {
      case Op::pointwise:
      case Op::copy:
        return demand_at(in, dim);
      case Op::fill:
      case Op::iota:
        return;
      case Op::softmax:
      case Op::scan:
        demand(axis(command, "axis") != dim, "it works across items");
        return demand_at(in, dim);
      case Op::concat:
        demand(axis(command, "axis") != dim, "it joins along items");
        return demand_at(in, dim);
      case Op::pad:
        for (const char* side : {"before", "after"}) demand(command.attrs.ints(side).at(static_cast<std::size_t>(dim)) == Expr(0), "it adds items");
        return demand_at(in, dim);
      case Op::gather:
        demand(axis(command, "axis") != dim, "it takes from other items");
        return demand_at(in, dim);
      case Op::reduce:
        for (const Expr& a : command.attrs.ints("axes")) demand(a.as_int() && *a.as_int() != dim && *a.as_int() >= 0, "it works across items");
        return demand_at(in, dim);
      case Op::norm:
        return check_norm(command, in, dim);
      case Op::attention:
        demand(dim < rank - 2, "it works across items");
        return demand_at(in, dim);
      case Op::matmul:
        return check_matmul(command, in, dim, rank);
      case Op::conv:
        demand(dim == 0, "it works across items");
        demand_at(in.first(1), 0);
        return check_tail(command, in, 0, true);
      case Op::pool:
      case Op::resize:
        demand(dim == 0, "it works across items");
        return demand_at(in, 0);
      case Op::index:
        return check_index(command, in, dim);
      default:
        demand(false, "it is not known to treat items one by one");
    }
  }

  void check_norm(const Command& command, std::span<const Lie> in, int dim) const {
    demand_at(in.first(1), dim);
    demand_same(in.subspan(1));
    const std::string& kind = command.attrs.text("kind");
    if (kind == "layer" || kind == "rms") {
      const auto trailing = command.attrs.integer("dims").as_int();
      demand(trailing && dim < static_cast<int>(command.inputs[0].sizes.size()) - static_cast<int>(*trailing), "it works across items");
    } else {
      demand(dim == 0, "it works across items");
    }
  }

  /// Behind the two factors: a bias (`one_for_all`: of channels), and the operands of an epilogue, which have the result's sizes.
  static void check_tail(const Command& command, std::span<const Lie> in, int dim, bool one_for_all) {
    const bool bias = command.attrs.flag("has_bias", false);
    demand_same(in.subspan(1, 1));
    if (bias && one_for_all) demand_same(in.subspan(2, 1));
    demand_at(in.subspan(bias && one_for_all ? 3 : 2), dim);
  }

  static void check_matmul(const Command& command, std::span<const Lie> in, int dim, int rank) {
    demand(dim < rank - 1, "items are columns");
    if (dim == rank - 2) {
      demand_at(in.first(1), dim);
      return check_tail(command, in, dim, false);
    }
    demand_at(in, dim);
  }

  static void check_index(const Command& command, std::span<const Lie> in, int dim) {
    demand_same(in.first(1));
    const auto position = command.attrs.integer("position").as_int();
    demand(position.has_value(), "where its indices stand is not known");
    demand_at(in.subspan(1), dim - static_cast<int>(*position));
  }

  const plan::Plan& plan_;
  std::string name_;
  Expr s_;
};

}  // namespace

Independence find_independent_batch(const plan::Plan& plan) {
  Independence none{.symbol = -1, .why_not = "no input has a symbol as its first size", .inputs = {}, .outputs = {}};
  bool first = true;
  for (const auto& input : plan.inputs) {
    if (input.kind != plan::InputSpec::Kind::tensor || input.sizes.empty() || !input.sizes[0].is_symbol()) continue;
    const int symbol = plan.symbols.find(input.sizes[0].symbol_name());
    try {
      return Prover(plan, symbol).prove(symbol);
    } catch (const Refuted& refuted) {
      if (std::exchange(first, false)) none.why_not = refuted.why;
    }
  }
  return none;
}

}  // namespace reprise::runtime
