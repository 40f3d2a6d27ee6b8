#include "exec/walk.h"

#include <algorithm>

#include "base/check.h"
#include "exec/bound_shape.h"
#include "exec/step_builder.h"

namespace reprise::exec {
namespace {

class Walker {
 public:
  Walker(const Executable& executable, std::span<const std::int64_t> symbols, const Visit& visit, std::int64_t most_counted)
      : executable_(executable),
        visit_(visit),
        most_counted_(most_counted),
        values_(bound(executable, symbols)),
        shape_(executable, ShapeKey::of(symbols), values_) {}

  void block(int id) {
    for (const Stage& stage : executable_.schedule().blocks[static_cast<std::size_t>(id)]) {
      if (stage.kind == Stage::Kind::steps)
        steps(stage);
      else
        for (const int inner : stage.last().blocks) block(inner);
    }
  }

 private:
  static SymbolValues bound(const Executable& executable, std::span<const std::int64_t> symbols) {
    SymbolValues values(executable.plan().symbols);
    values.reset(symbols, executable.binder().known());
    return values;
  }

  void steps(const Stage& stage) {
    constexpr auto kAll = std::numeric_limits<std::int64_t>::max();  // what counts must have room for everything
    for (const auto& define : stage.last().defines) guess(stage.last(), define, kAll);
    visit_steps(stage);
    for (const auto& define : stage.last().defines) guess(stage.last(), define, most_counted_);
  }

  void visit_steps(const Stage& stage) {
    const bool from_data = !stage.data_symbols.empty() || !stage.last().defines.empty();
    try {
      for (const auto id : stage.dynamic_buffers) {
        const auto slot = static_cast<std::size_t>(id);
        shape_.capacity[slot] = values_.size(executable_.plan().buffers[slot].size_bytes);
      }
    } catch (const Error&) {
      return;  // sizes that the guesses do not fit; a call works out what it needs
    }
    const StepBuilder builder(executable_, values_, shape_.capacity);
    for (const plan::Command* c = stage.begin; c != stage.end; ++c) {
      if (c->op == core::Op::item) continue;
      std::optional<StepBuilder::Bound> spec;
      try {
        spec.emplace(builder, *c);
      } catch (const Error&) {
        if (!from_data) throw;
        continue;
      }
      visit_(*c, spec->spec());
    }
  }

  void guess(const plan::Command& command, const plan::Define& define, std::int64_t most) {
    const auto& info = executable_.plan().symbols.at(define.symbol);
    if (const auto bound = count_bound(command, values_)) return values_.set(define.symbol, sym::Number::of(std::min(*bound, most)));
    const bool real = define.output < 0 && is_floating(command.inputs.at(0).dtype);
    const auto seen = info.hint.value_or(std::clamp<std::int64_t>(1, info.range.min, info.range.max));
    values_.set(define.symbol, real ? sym::Number::of_real(static_cast<double>(seen)) : sym::Number::of(seen));
  }

  const Executable& executable_;
  const Visit& visit_;
  std::int64_t most_counted_;
  SymbolValues values_;
  BoundShape shape_;
};

}  // namespace

void walk(const Executable& executable, std::span<const std::int64_t> symbols, const Visit& visit, std::int64_t most_counted) {
  Walker(executable, symbols, visit, most_counted).block(0);
}

void walk_profiles(const Executable& executable, const Visit& visit) {
  const auto& profiles = executable.plan().profiles;
  for (const auto& profile : profiles) walk(executable, profile.opt, visit);
  const auto& from_data = executable.schedule().from_data;
  if (std::find(from_data.begin(), from_data.end(), true) != from_data.end()) {
    for (const std::int64_t count : {1, 3, 6, 12, 24}) walk(executable, profiles.front().opt, visit, count);
  }
  for (const auto& profile : profiles) {
    for (const auto* extreme : {&profile.min, &profile.max}) {
      if (*extreme == profile.opt) continue;
      try {
        walk(executable, *extreme, visit);
      } catch (const InvalidArgument&) {  // a largest shape without a bound, say
      } catch (const OutOfMemory&) {
      }
    }
  }
}

}  // namespace reprise::exec
