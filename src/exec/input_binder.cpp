#include "exec/input_binder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "exec/inline_vector.h"
#include "exec/symbol_values.h"

namespace reprise::exec {
namespace {

using sym::Expr;
using sym::Number;

// Most programs stay below these; more of either costs a heap allocation per call.
constexpr std::size_t kInlineSymbols = 32, kInlineSlots = 64;

bool mentions(const Expr& e, const std::string& symbol) {
  std::vector<std::string> names;
  sym::collect_symbols(e, names);
  return std::find(names.begin(), names.end(), symbol) != names.end();
}

/// True when `e` is factor * symbol + rest, with factor and rest free of the symbol.
bool is_linear(const Expr& e, const std::string& symbol) {
  if (e.is_symbol() || !mentions(e, symbol)) return true;
  const auto operands = e.operands();
  if (e.op() == sym::Op::mul && std::count_if(operands.begin(), operands.end(), [&](const Expr& o) { return mentions(o, symbol); }) > 1) return false;
  if (e.op() != sym::Op::mul && e.op() != sym::Op::add) return false;
  return std::all_of(operands.begin(), operands.end(), [&](const Expr& o) { return is_linear(o, symbol); });
}

Expr with(const Expr& e, const std::string& symbol, std::int64_t value) {
  return sym::substitute(e, [&](const std::string& name) { return name == symbol ? std::optional<Expr>(value) : std::nullopt; });
}

std::int64_t given(const InputValue& value, int dim) { return dim < 0 ? value.integer : value.tensor->sizes()[static_cast<std::size_t>(dim)]; }

void evaluate(const sym::Evaluator& evaluator, std::span<const std::int64_t> symbols, std::span<Number> out) {
  InlineVector<Number, kInlineSymbols> values(symbols.size());
  for (std::size_t i = 0; i < symbols.size(); ++i) values[i] = Number::of(symbols[i]);
  evaluator.run(values.span(), {}, out);
}

}  // namespace

InputBinder::InputBinder(const plan::Plan& plan)
    : plan_(plan),
      symbol_count_(static_cast<std::size_t>(plan.symbols.size())),
      known_(std::make_unique<bool[]>(std::max<std::size_t>(symbol_count_, 1))),
      sizes_(plan.symbols) {
  find_rules();
  find_checks();
}

const Expr& InputBinder::expression(const Place& place) const {
  const auto& spec = plan_.inputs[static_cast<std::size_t>(place.input)];
  return place.dim < 0 ? spec.value : spec.sizes[static_cast<std::size_t>(place.dim)];
}

std::vector<InputBinder::Place> InputBinder::places() const {
  std::vector<Place> all;
  for (int i = 0; i < static_cast<int>(plan_.inputs.size()); ++i) {
    const auto& spec = plan_.inputs[static_cast<std::size_t>(i)];
    if (spec.kind == plan::InputSpec::Kind::integer) all.push_back({i, -1});
    if (spec.kind != plan::InputSpec::Kind::tensor) continue;
    for (int d = 0; d < static_cast<int>(spec.sizes.size()); ++d) all.push_back({i, d});
  }
  return all;
}

void InputBinder::add_rule(Rule rule) {
  known_[static_cast<std::size_t>(rule.symbol)] = true;
  rules_.push_back(std::move(rule));
}

// Bare symbols first; then, as long as that brings new ones, expressions that are linear in the only symbol that is still unknown.
void InputBinder::find_rules() {
  const auto all = places();
  for (const Place& place : all) {
    if (!expression(place).is_symbol()) continue;
    const int symbol = plan_.symbols.find(expression(place).symbol_name());
    if (symbol >= 0 && !known_[static_cast<std::size_t>(symbol)]) add_rule({symbol, place, nullptr});
  }
  for (bool found = true; found;) {
    found = false;
    for (const Place& place : all) found = find_linear_rule(place, expression(place)) || found;
  }
}

bool InputBinder::find_linear_rule(const Place& place, const Expr& e) {
  std::vector<std::string> names;
  sym::collect_symbols(e, names);
  std::erase_if(names, [&](const std::string& name) {
    const int symbol = plan_.symbols.find(name);
    return symbol >= 0 && known_[static_cast<std::size_t>(symbol)];
  });
  if (names.size() != 1 || plan_.symbols.find(names[0]) < 0 || !is_linear(e, names[0])) return false;
  Rule rule{plan_.symbols.find(names[0]), place, std::make_unique<sym::Evaluator>(plan_.symbols)};
  const Expr rest = with(e, names[0], 0);
  rule.rest_slot = rule.evaluator->add(rest);
  rule.factor_slot = rule.evaluator->add(with(e, names[0], 1) - rest);
  add_rule(std::move(rule));
  return true;
}

void InputBinder::find_checks() {
  for (const Place& place : places()) {
    const Expr& e = expression(place);
    if (const auto constant = e.as_int()) {
      checks_.push_back({place, *constant});
      continue;
    }
    std::vector<std::string> names;
    sym::collect_symbols(e, names);
    for (const auto& name : names) {
      const int symbol = plan_.symbols.find(name);
      REPRISE_CHECK(symbol >= 0 && known_[static_cast<std::size_t>(symbol)], FormatError, "[run/inputs] symbol {} in {} ({}) cannot be derived from the inputs",
                    name, describe(place), e.str());
    }
    checks_.push_back({place, 0, sizes_.add(e)});
  }
}

int InputBinder::bind(std::span<const InputValue> inputs, std::span<std::int64_t> symbols, ProfileChoice choice) const {
  check_ranks(inputs);
  solve(inputs, symbols);
  check_sizes(inputs, symbols);
  check_ranges(inputs, symbols);
  return find_profile(inputs, symbols, choice);
}

void InputBinder::check_ranks(std::span<const InputValue> inputs) const {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& spec = plan_.inputs[i];
    if (spec.kind != plan::InputSpec::Kind::tensor) continue;
    REPRISE_CHECK(inputs[i].tensor->sizes().size() == spec.sizes.size(), ShapeError, "[run/inputs] input '{}' has the wrong rank (got {}, want {})", spec.name,
                  inputs[i].tensor->sizes().size(), spec.sizes.size());
  }
}

void InputBinder::solve(std::span<const InputValue> inputs, std::span<std::int64_t> symbols) const {
  std::fill(symbols.begin(), symbols.end(), 0);
  for (const Rule& rule : rules_) {
    const std::int64_t size = given(inputs[static_cast<std::size_t>(rule.place.input)], rule.place.dim);
    if (rule.evaluator == nullptr) {
      symbols[static_cast<std::size_t>(rule.symbol)] = size;
    } else {
      solve_linear(rule, size, symbols);
    }
  }
}

void InputBinder::solve_linear(const Rule& rule, std::int64_t size, std::span<std::int64_t> symbols) const {
  InlineVector<Number, kInlineSlots> values(static_cast<std::size_t>(rule.evaluator->size()));
  evaluate(*rule.evaluator, symbols, values.span());
  const std::int64_t factor = values[static_cast<std::size_t>(rule.factor_slot)].as_int(), rest = values[static_cast<std::size_t>(rule.rest_slot)].as_int();
  REPRISE_CHECK(factor != 0 ? (size - rest) % factor == 0 : size == rest, ShapeError, "[run/inputs] {} has a size that {} never takes (got {})",
                describe(rule.place), expression(rule.place).str(), size);
  symbols[static_cast<std::size_t>(rule.symbol)] = factor == 0 ? plan_.symbols.at(rule.symbol).range.min : (size - rest) / factor;
}

void InputBinder::check_sizes(std::span<const InputValue> inputs, std::span<const std::int64_t> symbols) const {
  InlineVector<Number, kInlineSlots> values(static_cast<std::size_t>(sizes_.size()));
  if (sizes_.size() > 0) evaluate(sizes_, symbols, values.span());
  for (const Check& check : checks_) {
    const std::int64_t want = check.slot < 0 ? check.constant : values[static_cast<std::size_t>(check.slot)].as_int();
    const std::int64_t got = given(inputs[static_cast<std::size_t>(check.place.input)], check.place.dim);
    if (got != want) fail_size(check, got, want);
  }
}

void InputBinder::check_ranges(std::span<const InputValue> inputs, std::span<const std::int64_t> symbols) const {
  for (const Rule& rule : rules_) {
    const auto& range = plan_.symbols.at(rule.symbol).range;
    const std::int64_t value = symbols[static_cast<std::size_t>(rule.symbol)];
    if (value >= range.min && value <= range.max) continue;
    fail_range(rule, given(inputs[static_cast<std::size_t>(rule.place.input)], rule.place.dim), value, "is outside the exported range",
               range_text(range.min, range.max));
  }
}

bool InputBinder::admits(const plan::Profile& profile, int symbol, std::int64_t value) const {
  const auto i = static_cast<std::size_t>(symbol);
  return value >= profile.min[i] && value <= profile.max[i];
}

const InputBinder::Rule* InputBinder::refused_by(const plan::Profile& profile, std::span<const std::int64_t> symbols) const {
  const auto refused = [&](const Rule& rule) { return !admits(profile, rule.symbol, symbols[static_cast<std::size_t>(rule.symbol)]); };
  const auto found = std::find_if(rules_.begin(), rules_.end(), refused);
  return found == rules_.end() ? nullptr : &*found;
}

int InputBinder::find_profile(std::span<const InputValue> inputs, std::span<const std::int64_t> symbols, ProfileChoice choice) const {
  const auto value = [&](const Rule& rule) { return symbols[static_cast<std::size_t>(rule.symbol)]; };
  const auto& active = plan_.profiles[static_cast<std::size_t>(choice.active)];
  const Rule* misfit = refused_by(active, symbols);
  if (misfit == nullptr) return choice.active;
  if (choice.fixed) {
    const auto s = static_cast<std::size_t>(misfit->symbol);
    fail_range(*misfit, given(inputs[static_cast<std::size_t>(misfit->place.input)], misfit->place.dim), value(*misfit),
               fmt::format("does not fit optimization profile {}", choice.active), range_text(active.min[s], active.max[s]));
  }
  for (std::size_t p = 0; p < plan_.profiles.size(); ++p)
    if (refused_by(plan_.profiles[p], symbols) == nullptr) return static_cast<int>(p);
  // Name the first size that no profile admits by itself; when each has one, the sizes do not go together: name the first that the first profile refuses.
  const auto refused = [&](const Rule& rule) {
    return std::none_of(plan_.profiles.begin(), plan_.profiles.end(), [&](const auto& profile) { return admits(profile, rule.symbol, value(rule)); });
  };
  const auto culprit = std::find_if(rules_.begin(), rules_.end(), refused);
  const Rule& named = culprit == rules_.end() ? *refused_by(plan_.profiles.front(), symbols) : *culprit;
  fail_range(named, given(inputs[static_cast<std::size_t>(named.place.input)], named.place.dim), value(named), "fits no optimization profile",
             describe_profiles(named.symbol));
}

std::string InputBinder::describe(const Place& place) const {
  const auto& name = plan_.inputs[static_cast<std::size_t>(place.input)].name;
  return place.dim < 0 ? fmt::format("input '{}'", name) : fmt::format("input '{}' dimension {}", name, place.dim);
}

std::string InputBinder::describe_profiles(int symbol) const {
  std::vector<std::string> ranges;
  for (const auto& profile : plan_.profiles)
    ranges.push_back(range_text(profile.min[static_cast<std::size_t>(symbol)], profile.max[static_cast<std::size_t>(symbol)]));
  return fmt::format("{}", fmt::join(ranges, " or "));
}

void InputBinder::fail_size(const Check& check, std::int64_t got, std::int64_t want) const {
  const Expr& e = expression(check.place);
  if (e.is_int()) REPRISE_FAIL(ShapeError, "[run/inputs] {} has the wrong size (got {}, want {})", describe(check.place), got, want);
  std::vector<std::string> names, sources;
  sym::collect_symbols(e, names);
  for (const Rule& rule : rules_)
    if (std::find(names.begin(), names.end(), plan_.symbols.at(rule.symbol).name) != names.end()) sources.push_back(describe(rule.place));
  REPRISE_FAIL(ShapeError, "[run/inputs] {} disagrees with {} (got {}, want {} = {})", describe(check.place), fmt::join(sources, ", "), got, e.str(), want);
}

void InputBinder::fail_range(const Rule& rule, std::int64_t got, std::int64_t value, const std::string& what, const std::string& want) const {
  const auto& symbol = plan_.symbols.at(rule.symbol).name;
  if (rule.evaluator == nullptr) REPRISE_FAIL(ShapeError, "[run/inputs] {} {} (got {}, want {})", describe(rule.place), what, got, want);
  REPRISE_FAIL(ShapeError, "[run/inputs] {} {} (got {}, so {} = {}, want {})", describe(rule.place), what, got, symbol, value, want);
}

}  // namespace reprise::exec
