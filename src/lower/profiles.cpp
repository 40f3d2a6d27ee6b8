#include "lower/profiles.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace reprise::lower {

namespace {

using Bounds = std::array<std::int64_t, 3>;  // min, opt, max

std::int64_t clamped(std::int64_t v, const sym::Range& range) { return std::clamp(v, range.min, range.max); }

const plan::InputSpec& find_spec(const Input& input, std::size_t position, const std::vector<plan::InputSpec>& specs) {
  if (!input.name.empty()) {
    const auto it = std::find_if(specs.begin(), specs.end(), [&](const auto& s) { return s.name == input.name; });
    REPRISE_CHECK(it != specs.end(), InvalidArgument, "[compile/profile] no input is named '{}'", input.name);
    return *it;
  }
  for (const auto& spec : specs) {
    if (spec.kind == plan::InputSpec::Kind::tensor && position-- == 0) return spec;
  }
  REPRISE_FAIL(InvalidArgument, "[compile/profile] more shapes are given than the program has tensor inputs");
}

// Solves a*s + b = value for the only symbol of `e`; nullopt when `e` is not of that form or the value does not fit.
struct Linear {
  std::string symbol;
  std::int64_t factor = 1, offset = 0;
};
std::optional<Linear> linear(const sym::Expr& e) {
  std::vector<std::string> names;
  sym::collect_symbols(e, names);
  if (names.size() != 1) return std::nullopt;
  const auto at = [&](std::int64_t v) { return sym::substitute(e, [&](const std::string&) { return sym::Expr(v); }).as_int(); };
  const auto zero = at(0), one = at(1), many = at(1000);
  if (!zero || !one || !many || *one == *zero || *many != *zero + 1000 * (*one - *zero)) return std::nullopt;
  return Linear{names.front(), *one - *zero, *zero};
}

class ProfileBuilder {
 public:
  explicit ProfileBuilder(const sym::SymbolTable& symbols)
      : symbols_(symbols), profile_(exported_profile(symbols)), given_(static_cast<std::size_t>(symbols.size())) {}

  void add(const Input& input, const plan::InputSpec& spec) {
    REPRISE_CHECK(!input.dtype || *input.dtype == spec.dtype, InvalidArgument, "[compile/profile] input '{}' has another dtype (got {}, want {})", spec.name,
                  name(input.dtype.value_or(spec.dtype)), name(spec.dtype));
    if (input.min_shape.empty() && input.opt_shape.empty() && input.max_shape.empty()) return;
    const auto& opt = input.opt_shape.empty() ? (input.max_shape.empty() ? input.min_shape : input.max_shape) : input.opt_shape;
    const auto& min = input.min_shape.empty() ? opt : input.min_shape;
    const auto& max = input.max_shape.empty() ? opt : input.max_shape;
    for (const auto* shape : {&min, &opt, &max}) {
      REPRISE_CHECK(shape->size() == spec.sizes.size(), ShapeError, "[compile/profile] input '{}' has another rank (got {}, want {})", spec.name, shape->size(),
                    spec.sizes.size());
    }
    for (std::size_t d = 0; d < spec.sizes.size(); ++d) dimension(spec, d, {min[d], opt[d], max[d]});
  }

  plan::Profile take() { return std::move(profile_); }

 private:
  void dimension(const plan::InputSpec& spec, std::size_t d, Bounds bounds) {
    REPRISE_CHECK(bounds[0] <= bounds[1] && bounds[1] <= bounds[2], ShapeError,
                  "[compile/profile] input '{}' dimension {} needs min <= opt <= max (got {}, {}, {})", spec.name, d, bounds[0], bounds[1], bounds[2]);
    const auto& size = spec.sizes[d];
    if (const auto fixed = size.as_int()) {
      REPRISE_CHECK(bounds[0] == *fixed && bounds[2] == *fixed, ShapeError, "[compile/profile] input '{}' dimension {} is static (got {}..{}, want {})",
                    spec.name, d, bounds[0], bounds[2], *fixed);
      return;
    }
    const auto form = linear(size);
    if (!form) return;  // a size made of several symbols: their own inputs bound them
    for (auto& b : bounds) {
      REPRISE_CHECK((b - form->offset) % form->factor == 0, ShapeError, "[compile/profile] input '{}' dimension {} must be {} (got {})", spec.name, d,
                    size.str(), b);
      b = (b - form->offset) / form->factor;
    }
    if (form->factor < 0) std::swap(bounds[0], bounds[2]);
    set(spec, d, *form, bounds);
  }

  void set(const plan::InputSpec& spec, std::size_t d, const Linear& form, const Bounds& bounds) {
    const int index = symbols_.find(form.symbol);
    if (index < 0) return;
    const auto s = static_cast<std::size_t>(index);
    const auto& range = symbols_.at(index).range;
    REPRISE_CHECK(bounds[0] >= range.min && bounds[2] <= range.max, ShapeError,
                  "[compile/profile] input '{}' dimension {} ({}) lies outside the exported range (got {}..{}, want {}..{})", spec.name, d, form.symbol,
                  bounds[0], bounds[2], range.min, range.max);
    const Bounds before{profile_.min[s], profile_.opt[s], profile_.max[s]};
    REPRISE_CHECK(!given_[s] || before == bounds, ShapeError,
                  "[compile/profile] input '{}' dimension {} disagrees with an earlier input on {} (got {}..{}, want {}..{})", spec.name, d, form.symbol,
                  bounds[0], bounds[2], before[0], before[2]);
    given_[s] = true;
    profile_.min[s] = bounds[0];
    profile_.opt[s] = bounds[1];
    profile_.max[s] = bounds[2];
  }

  const sym::SymbolTable& symbols_;
  plan::Profile profile_;
  std::vector<bool> given_;
};

}  // namespace

plan::Profile exported_profile(const sym::SymbolTable& symbols) {
  plan::Profile profile;
  for (const auto& info : symbols.all()) {
    profile.min.push_back(info.range.min);
    profile.max.push_back(info.range.max);
    profile.opt.push_back(clamped(info.hint.value_or(info.range.min), info.range));
  }
  return profile;
}

plan::Profile make_profile(const std::vector<Input>& inputs, const std::vector<plan::InputSpec>& specs, const sym::SymbolTable& symbols) {
  ProfileBuilder builder(symbols);
  for (std::size_t i = 0; i < inputs.size(); ++i) builder.add(inputs[i], find_spec(inputs[i], i, specs));
  return builder.take();
}

}  // namespace reprise::lower
