// Steps that call, and the values that calls must give.
#include "runtime/mode_checker/world.h"

#include <array>

#include "device/current.h"

namespace reprise::test::checker {
namespace {

std::optional<Device> other_device() {
  const Device own = checked_device();
  if (device::count(own.type) <= own.index + 1) return std::nullopt;
  return Device{own.type, own.index + 1};
}

Tensor strided(const Values& all) {
  Values wide(2 * all.size(), -7);
  for (std::size_t i = 0; i < all.size(); ++i) wide[2 * i] = all[i];
  return floats(wide).as_strided(std::vector<std::int64_t>{static_cast<std::int64_t>(all.size())}, std::vector<std::int64_t>{2});
}

void check_values(Checked& checked, const std::vector<Argument>& results, const Values& x, Values cache, const Tensor& cache_tensor) {
  constexpr std::array<float, 4> kW = {1, 2, 3, 4};
  Values y, twice, branch;
  std::vector<std::int64_t> positions;
  for (std::size_t i = 0; i < x.size(); ++i) {
    y.push_back(4 * x[i]);
    twice.push_back(2 * x[i]);
    if (x[i] != 0) positions.push_back(static_cast<std::int64_t>(i));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    checked.total[i] += cache[i];
    cache[i] += kW[i];
  }
  for (std::size_t i = 0; i < 4; ++i) branch.push_back(checked.total[i] + (checked.total[0] < kLimit ? kW[i] : checked.total[i]));
  expect(read(std::get<Tensor>(results[0])) == y, "y");
  expect(read(std::get<Tensor>(results[1])) == checked.total, "after");
  expect(read(std::get<Tensor>(results[2])) == twice, "twice");
  expect(values(Argument(runtime::copy_to(cache_tensor, Device::cpu()))) == cache, "the mutated input");
  expect(read(checked.module.state("total")) == checked.total, "the state");
  if (results.size() < 5) return;
  expect(read<std::int64_t>(std::get<Tensor>(results[3])) == positions, "positions");
  expect(read(std::get<Tensor>(results[4])) == branch, "branch");
}

}  // namespace

template <class Kind>
void World::refuse(const Step& step, const Tensor& x, const char* what) {
  try {
    (void)reprise::test::call(at(step).module, {x, floats({1, 2, 3, 4})});
  } catch (const Kind&) {
    return;
  }
  throw Failure(what);
}

void World::bad_call(const Step& step) {
  try {
    (void)reprise::test::call(at(step).module, {floats({1, 2}, {1, 2}), floats({1, 2, 3, 4})});
    expect(false, "a wrong rank passed");
  } catch (const ShapeError&) {
  }
}

Tensor World::make_x(const Step& step, Values& all) {
  const auto n = static_cast<std::int64_t>(all.size());
  switch (step.form % 5) {
    case 0:
      return on_device(floats(all));
    case 1: {
      const Tensor wide = on_device(floats(Values(all.size() + 1, 9)));
      const Tensor tail = wide.as_strided(std::vector<std::int64_t>{n}, std::vector<std::int64_t>{1}, 1);
      all = read(tail);
      return tail;
    }
    case 2:
      return strided(all);
    case 3:
      return floats(all);
    default:
      if (!at(step).last_y.defined() || at(step).last_y.numel() != n) return on_device(floats(all));
      all = read(at(step).last_y);
      if (n > 0 && all[0] > 1e6F) return on_device(floats(all = Values(all.size(), 1)));
      return at(step).last_y;
  }
}

void World::call(const Step& step) {
  Checked& checked = at(step);
  Values x(step.n), cache = {1, 2, 3, static_cast<float>(step.choice)};
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((step.choice >> i) % 3);
  Tensor x_tensor = make_x(step, x);
  if (const auto elsewhere = other_device(); elsewhere && step.form % 11 == 10) {
    x_tensor = runtime::copy_to(x_tensor, *elsewhere);
    if (!is_safe()) return refuse<InvalidArgument>(step, x_tensor, "an input on another device passed");
  }
  const auto chosen = choose_profile(step.module, step.n);
  if (!chosen) return refuse<ShapeError>(step, x_tensor, "sizes that do not fit the profile passed");
  const Tensor cache_tensor = step.form % 3 == 0 ? on_device(floats(cache)) : step.form % 3 == 1 ? floats(cache) : strided(cache);
  const auto before = checked.module.stats();
  const bool owned = step.kind != Step::call && step.module != kDynamic;
  if (shared_ && has_live_step(step)) return;  // others open scopes of the module, and so choose whether it fails
  if (must_fail(step)) return failing_call(step, *chosen, x_tensor, cache_tensor, cache);
  const auto results = owned ? run_into(step, x_tensor, cache_tensor) : reprise::test::call(checked.module, {x_tensor, cache_tensor});
  check_values(checked, results, x, cache, cache_tensor);
  if (!shared_) check_counts(step, *chosen, before, checked.module.stats(), owned);
  remember(step, results, owned);
}

void World::failing_call(const Step& step, int profile_taken, const Tensor& x, const Tensor& cache_tensor, const Values& cache) {
  const auto before = at(step).module.stats();
  try {
    (void)reprise::test::call(at(step).module, {x, cache_tensor});
  } catch (const Error&) {
    const auto after = at(step).module.stats();
    expect(after.failed_calls == before.failed_calls + 1 && after.replays == before.replays, "a call that failed");
    expect(read(at(step).module.state("total")) == at(step).total, "the state after a call that failed");
    expect(values(Argument(runtime::copy_to(cache_tensor, Device::cpu()))) == cache, "the mutated input after a call that failed");
    note_use(at(step), shape_key(step, profile_taken), options(step.module).max_recordings);
    at(step).last_y = {};  // memory was made for results that did not come
    return;
  }
  expect(false, "a step that cannot be recorded passed");
}

std::vector<Argument> World::run_into(const Step& step, const Tensor& x, const Tensor& cache) {
  const bool on_input = step.form % 7 == 0 && x.device() == checked_device() && x.is_contiguous();
  const Tensor y = on_input ? x : on_device(floats(Values(step.n, -1))), after = on_device(floats(Values(4, -1))),
               twice = on_device(floats(Values(step.n, -1)));
  const std::vector<Tensor> in = {x, cache}, out = {y, after, twice};
  if (step.kind == Step::run) {
    at(step).module.run(in, out);
  } else if (step.kind == Step::bound) {
    at(step).module.bind(in, out)();
  } else {
    const Stream& stream = streams_[step.choice % streams_.size()];
    at(step).module.enqueue(in, out, stream);
    stream.synchronize();
  }
  return {y, after, twice};
}

void World::keep_bound(const Step& step) {
  if (step.module == kDynamic || has_live_step(step)) return;
  Values wide(2 * step.n);
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = static_cast<float>((step.choice + i) % 3);
  const auto chosen = choose_profile(step.module, step.n);
  Bound bound{.call = BoundCall(nullptr),
              .n = step.n,
              .profile = chosen.value_or(0),
              .wide = on_device(floats(wide)),
              .cache = on_device(floats({1, 2, 3, 4})),
              .results = {on_device(floats(Values(step.n))), on_device(floats(Values(4))), on_device(floats(Values(step.n)))}};
  try {
    bound.call = at(step).module.bind(std::vector<Tensor>{bound.x(false), bound.cache}, bound.results);
    expect(chosen.has_value(), "sizes that do not fit the profile were bound");
    bound_[step.module] = std::move(bound);
  } catch (const ShapeError&) {
    expect(!chosen, "sizes that fit were not bound");
  }
}

void World::run_bound(const Step& step) {
  auto& bound = bound_[step.module];
  if (!bound) return;
  if (step.form % 3 != 0) return run_kept(step);
  const auto before = at(step).module.stats();
  const auto now = profile(step.module);
  const bool may_stay = !now.fixed || now.active == bound->profile;
  const Values cache = read(bound->cache);
  try {
    bound->call();
  } catch (const ShapeError&) {
    return expect(!may_stay && !fits(now.active, bound->n), "a bound call was refused");
  }
  const auto after = at(step).module.stats();
  const bool in_place = after.bound_calls > before.bound_calls;
  expect(may_stay || (!in_place && fits(now.active, bound->n)), "a bound call under another profile");
  if (!in_place) bound->profile = choose_profile(step.module, bound->n).value();
  if (!shared_ && !is_recorded(step)) expect(after.replays == before.replays, "a bound call replayed out of mode");
  check_values(at(step), bound->arguments(), read(bound->x(false)), cache, bound->cache);
}

/// The tensors of the bound call, or others at the same address, given to `run`: the third time in a row nobody looks at them.
void World::run_kept(Step step) {
  const auto& bound = *bound_[step.module];
  step.kind = Step::run;
  step.n = bound.n;
  const Tensor x = bound.x(step.form % 9 == 1);
  for (unsigned i = 0; i < 1 + step.choice % 4; ++i) {
    const auto chosen = choose_profile(step.module, step.n);
    if (!chosen) return refuse<ShapeError>(step, x, "sizes that do not fit the profile passed");
    if (must_fail(step)) return;
    const auto before = at(step).module.stats();
    const Values cache = read(bound.cache);
    at(step).module.run(std::vector<Tensor>{x, bound.cache}, bound.results);
    check_values(at(step), bound.arguments(), read(x), cache, bound.cache);
    if (!shared_) check_counts(step, *chosen, before, at(step).module.stats(), true);
  }
}

void World::remember(const Step& step, const std::vector<Argument>& results, bool owned) {
  Checked& checked = at(step);
  const Tensor& y = std::get<Tensor>(results[0]);
  if (!owned && source(step.module) == Source::preallocated && checked.last_y.defined() && checked.last_y.sizes() == y.sizes())
    expect(checked.last_y.data() == y.data(), "a pre-allocated result moved");
  if (owned) return;
  checked.last_y = y;
  if (source(step.module) != Source::fresh) return;
  kept_.push_back({std::get<Tensor>(results[1]), checked.total});
  if (kept_.size() > 4) kept_.pop_front();
}

}  // namespace reprise::test::checker
