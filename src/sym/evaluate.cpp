#include "sym/evaluate.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "sym/node.h"

namespace reprise::sym {

int SymbolTable::add(SymbolInfo info) {
  const auto [it, is_new] = index_.try_emplace(info.name, size());
  if (is_new) infos_.push_back(std::move(info));
  return it->second;
}

int SymbolTable::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? -1 : it->second;
}

int Evaluator::add(const Expr& e) {
  if (const auto it = slot_of_.find(e); it != slot_of_.end()) return it->second;
  Step step{.op = e.op(), .first = 0, .count = 0, .constant = {}, .first_symbol = 0, .symbol_count = 0};
  std::vector<int> operands, used;
  if (const auto value = constant_value(e)) {
    step.constant = *value;
  } else if (e.is_symbol()) {
    const int index = symbols_->find(e.symbol_name());
    REPRISE_CHECK(index >= 0, InvalidArgument, "[sym/evaluate] unknown symbol (got '{}')", e.symbol_name());
    step.constant = Number::of(index);
    used.push_back(index);
  }
  for (const Expr& operand : e.operands()) {
    const int slot = add(operand);
    operands.push_back(slot);
    const Step& from = steps_[static_cast<std::size_t>(slot)];
    used.insert(used.end(), symbols_used_.begin() + from.first_symbol, symbols_used_.begin() + from.first_symbol + from.symbol_count);
  }
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  step.first = static_cast<int>(operands_.size());
  step.count = static_cast<int>(operands.size());
  step.first_symbol = static_cast<int>(symbols_used_.size());
  step.symbol_count = static_cast<int>(used.size());
  operands_.insert(operands_.end(), operands.begin(), operands.end());
  symbols_used_.insert(symbols_used_.end(), used.begin(), used.end());
  steps_.push_back(step);
  expressions_.push_back(e);
  return slot_of_.emplace(e, size() - 1).first->second;
}

bool Evaluator::is_known(const Step& step, std::span<const bool> known) const {
  const auto used = std::span(symbols_used_).subspan(static_cast<std::size_t>(step.first_symbol), static_cast<std::size_t>(step.symbol_count));
  return std::all_of(used.begin(), used.end(), [&](int symbol) { return known[static_cast<std::size_t>(symbol)]; });
}

const char* Evaluator::compute(const Step& step, std::span<const Number> values, std::span<Number> out) const {
  Number& result = out[static_cast<std::size_t>(&step - steps_.data())];
  if (step.op == Op::symbol) return result = values[static_cast<std::size_t>(step.constant.integer)], nullptr;
  if (step.count == 0) return result = step.constant, nullptr;
  const auto operand = [&](int i) { return out[static_cast<std::size_t>(operands_[static_cast<std::size_t>(step.first + i)])]; };
  std::array<Number, 3> some{};
  const int direct = std::min(step.count, 3);
  for (int i = 0; i < direct; ++i) some[static_cast<std::size_t>(i)] = operand(i);
  const char* fault = apply(step.op, std::span(some).first(static_cast<std::size_t>(direct)), result);
  for (int i = direct; i < step.count && !fault; ++i) fault = accumulate(step.op, result, operand(i));
  return fault;
}

void Evaluator::run(std::span<const Number> values, std::span<const bool> known, std::span<Number> out) const {
  for (const Step& step : steps_) {
    if (!known.empty() && !is_known(step, known)) continue;
    if (const char* fault = compute(step, values, out)) [[unlikely]] {
      REPRISE_FAIL(ShapeError, "[sym/evaluate] {} in '{}'", fault, expressions_[static_cast<std::size_t>(&step - steps_.data())].str());
    }
  }
}

bool Evaluator::depends_on_data(int slot) const {
  const Step& step = steps_.at(static_cast<std::size_t>(slot));
  for (int i = 0; i < step.symbol_count; ++i) {
    if (symbols_->at(symbols_used_[static_cast<std::size_t>(step.first_symbol + i)]).unbacked) return true;
  }
  return false;
}

std::optional<Number> evaluate(const Expr& e, const std::function<std::optional<Number>(const std::string&)>& value_of) {
  if (const auto value = constant_value(e)) return value;
  if (e.is_symbol()) return value_of(e.symbol_name());
  std::vector<Number> operands;
  for (const Expr& operand : e.operands()) {
    const auto value = evaluate(operand, value_of);
    if (!value) return std::nullopt;
    operands.push_back(*value);
  }
  Number out;
  if (const char* fault = apply(e.op(), operands, out)) REPRISE_FAIL(ShapeError, "[sym/evaluate] {} in '{}'", fault, e.str());
  return out;
}

}  // namespace reprise::sym
