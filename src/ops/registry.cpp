// Which converter takes a target, with the derived in-place and `.out` forms.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "ops/converter.h"

namespace reprise::ops {
namespace {

struct Target {
  std::string space, op, overload;
};

Target split(std::string_view target) {
  const auto first = target.find('.'), last = target.rfind('.');
  if (first == std::string_view::npos) return {"", std::string(target), ""};
  if (first == last) return {std::string(target.substr(0, first)), std::string(target.substr(first + 1)), ""};
  return {std::string(target.substr(0, first)), std::string(target.substr(first + 1, last - first - 1)), std::string(target.substr(last + 1))};
}

/// "add_" → "add", "__iand__" → "__and__"; empty for what is not an in-place name.
std::string functional_name(const std::string& op) {
  if (op.starts_with("__i") && op.ends_with("__")) return "__" + op.substr(3);
  if (op.ends_with('_') && !op.ends_with("__")) return op.substr(0, op.size() - 1);
  return {};
}

/// In-place forms whose functional overload has another name.
std::string renamed(std::string_view target) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRenamed = {{
      {"aten.pow_.Scalar", "aten.pow.Tensor_Scalar"},
      {"aten.pow_.Tensor", "aten.pow.Tensor_Tensor"},
      {"aten.floor_divide_.Tensor", "aten.floor_divide.default"},
      {"aten.bernoulli_.float", "aten.bernoulli.p"},
      {"aten.normal_.default", "aten.normal_functional.default"},
  }};
  const auto* const at = std::find_if(kRenamed.begin(), kRenamed.end(), [&](const auto& r) { return r.first == target; });
  return at == kRenamed.end() ? std::string() : std::string(at->second);
}

/// These change what the name refers to, not the elements: the functional view is the result.
bool is_inplace_view(const std::string& op) {
  constexpr std::array<std::string_view, 8> kViews = {"detach_", "unsqueeze_", "squeeze_", "t_", "transpose_", "swapaxes_", "swapdims_", "as_strided_"};
  return std::find(kViews.begin(), kViews.end(), op) != kViews.end();
}

/// Whether a derived form's arguments are those of the functional schema.
bool takes_arguments(const Registry::Entry& entry, const ir::AtenNode& node) {
  const auto& params = entry.schema.params;
  const auto has = [&](const ir::NamedArg& a) { return std::any_of(params.begin(), params.end(), [&](const Param& p) { return p.name == a.name; }); };
  const auto given = [&](const Param& p) { return std::any_of(node.args.begin(), node.args.end(), [&](const ir::NamedArg& a) { return a.name == p.name; }); };
  const auto positional = std::count_if(node.args.begin(), node.args.end(), [](const ir::NamedArg& a) { return a.name.empty(); });
  return std::all_of(node.args.begin(), node.args.end(), [&](const auto& a) { return a.name.empty() || has(a) || (entry.writes_out && a.name == "out"); }) &&
         std::all_of(params.begin() + std::min<std::ptrdiff_t>(positional, std::ssize(params)), params.end(),
                     [&](const Param& p) { return p.fallback.has_value() || given(p); });
}

}  // namespace

Registry& Registry::operator=(const Registry& other) {
  rows_ = other.rows_;
  resolved_.clear();  // it points into our former rows
  return *this;
}

void Registry::add(Converter converter) {
  auto target = parse_schema(converter.schema).target;
  REPRISE_CHECK(static_cast<bool>(converter.convert), InvalidArgument, "[ops/{}] a converter without a function", target);
  rows_[std::move(target)].push_back(std::move(converter));
  resolved_.clear();
}

void Registry::append_rows(std::vector<Entry>& out, const std::string& target, bool writes_self, bool writes_out) const {
  const auto at = rows_.find(target);
  if (at == rows_.end()) return;
  std::vector<const Converter*> order;
  for (auto row = at->second.rbegin(); row != at->second.rend(); ++row) order.push_back(&*row);
  std::stable_sort(order.begin(), order.end(), [](const Converter* a, const Converter* b) { return a->priority > b->priority; });
  for (const Converter* c : order) out.push_back({c, parse_schema(c->schema), writes_self, writes_out});
}

void Registry::append_overloads(std::vector<Entry>& out, const std::string& op, bool writes_self, bool writes_out) const {
  for (auto at = rows_.lower_bound(op); at != rows_.end() && at->first.starts_with(op); ++at) append_rows(out, at->first, writes_self, writes_out);
}

const std::vector<Registry::Entry>& Registry::candidates(std::string_view target) const {
  const std::lock_guard lock(mutex_);
  const auto [slot, fresh] = resolved_.try_emplace(std::string(target));
  auto& out = slot->second;
  if (!fresh) return out;
  append_rows(out, slot->first, false, false);
  if (!out.empty()) return out;

  const Target t = split(target);
  if (const auto op = functional_name(t.op); !op.empty()) {
    const auto prefix = t.space + "." + op + ".";
    const bool writes = !is_inplace_view(t.op);
    append_rows(out, renamed(target), writes, false);
    append_rows(out, prefix + t.overload, writes, false);
    append_overloads(out, prefix, writes, false);
  } else if (t.overload == "out" || t.overload.ends_with("_out")) {
    const auto prefix = t.space + "." + t.op + ".";
    if (t.overload != "out") append_rows(out, prefix + t.overload.substr(0, t.overload.size() - 4), false, true);
    append_rows(out, prefix + "default", false, true);
    append_rows(out, prefix + "Tensor", false, true);
    append_overloads(out, prefix, false, true);
  }
  return out;
}

const Registry::Entry* Registry::find(std::string_view target) const {
  const auto& all = candidates(target);
  return all.empty() ? nullptr : &all.front();
}

Registry::Match Registry::match(const ir::AtenNode& node, bool dynamic) const {
  Match out;
  for (const Entry& entry : candidates(node.target)) {
    const bool exact = entry.schema.target == node.target;
    if (!exact && !takes_arguments(entry, node)) continue;
    if (dynamic && !entry.converter->supports_dynamic_shapes) {
      out.reason = "the converter does not support dynamic shapes";
    } else if (auto refusal = entry.converter->validate ? entry.converter->validate(node) : std::nullopt) {
      out.reason = std::move(*refusal);
    } else {
      return {&entry, {}};
    }
  }
  return out;
}

std::vector<std::string> Registry::targets() const {
  std::vector<std::string> out;
  for (const auto& [target, rows] : rows_) out.push_back(target);
  return out;
}

}  // namespace reprise::ops
