#include "runtime/signature.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "runtime/arguments.h"
#include "sym/evaluate.h"

namespace reprise::runtime {
namespace {

/// A profile's bounds as ranges of the symbols; the exported ones without a profile.
sym::SymbolTable ranges_of(const plan::Plan& plan, std::size_t index) {
  sym::SymbolTable table;
  for (int i = 0; i < plan.symbols.size(); ++i) {
    sym::SymbolInfo info = plan.symbols.at(i);
    if (!plan.profiles.empty()) {
      const auto& profile = plan.profiles[index];
      const auto s = static_cast<std::size_t>(i);
      info.range = {profile.min[s], profile.max[s]};
      info.hint = profile.opt[s];
    }
    table.add(std::move(info));
  }
  return table;
}

void describe_sizes(SignatureEntry& entry, const sym::Shape& sizes, const sym::SymbolTable& symbols) {
  for (const auto& size : sizes) {
    const auto range = sym::bounds(size, symbols);
    const auto opt = sym::evaluate(size, [&](const std::string& name) -> std::optional<sym::Number> {
      const int symbol = symbols.find(name);
      if (symbol < 0 || !symbols.at(symbol).hint) return std::nullopt;
      return sym::Number::of(*symbols.at(symbol).hint);
    });
    entry.sizes.push_back(size.str());
    entry.min.push_back(std::max<std::int64_t>(range.min, 0));
    entry.max.push_back(range.max);
    entry.opt.push_back(opt ? opt->as_int() : entry.min.back());
  }
}

SignatureEntry::Kind kind_of(plan::InputSpec::Kind kind) {
  using In = plan::InputSpec::Kind;
  using Out = SignatureEntry::Kind;
  return kind == In::tensor ? Out::tensor : kind == In::integer ? Out::integer : Out::constant;
}

SignatureEntry::Kind kind_of(plan::OutputSpec::Kind kind) {
  using Out = SignatureEntry::Kind;
  constexpr Out kKinds[] = {Out::tensor, Out::integer, Out::real, Out::boolean, Out::text, Out::none};
  return kKinds[static_cast<std::size_t>(kind)];
}

}  // namespace

std::vector<SignatureEntry> describe_inputs(const plan::Plan& plan, std::size_t profile) {
  const auto symbols = ranges_of(plan, profile);
  std::vector<SignatureEntry> entries;
  for (const auto& spec : plan.inputs) {
    SignatureEntry entry;
    entry.name = spec.name;
    entry.kind = kind_of(spec.kind);
    entry.dtype = spec.dtype;
    if (entry.kind == SignatureEntry::Kind::tensor) describe_sizes(entry, spec.sizes, symbols);
    if (entry.kind == SignatureEntry::Kind::constant) entry.constant = constant_text(spec.constant);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<SignatureEntry> describe_outputs(const plan::Plan& plan, std::size_t profile) {
  const auto symbols = ranges_of(plan, profile);
  std::vector<SignatureEntry> entries;
  for (const auto& spec : plan.outputs) {
    SignatureEntry entry;
    entry.name = spec.name;
    entry.kind = kind_of(spec.kind);
    entry.dtype = spec.dtype;
    if (entry.kind == SignatureEntry::Kind::tensor) describe_sizes(entry, spec.sizes, symbols);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::size_t check_profile(const plan::Plan& plan, int index) {
  REPRISE_CHECK(index >= 0 && static_cast<std::size_t>(index) < plan.profiles.size(), InvalidArgument,
                "[run/profile] there is no optimization profile of that index (got {}, want 0..{})", index, plan.profiles.size() - 1);
  return static_cast<std::size_t>(index);
}

}  // namespace reprise::runtime
