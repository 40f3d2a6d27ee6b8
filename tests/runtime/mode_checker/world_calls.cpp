// Steps that call, and the values that calls must give.
#include "runtime/mode_checker/world.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace reprise::test::checker {
namespace {

Tensor strided(const Values& all) {
  Values wide(2 * all.size(), -7);
  for (std::size_t i = 0; i < all.size(); ++i) wide[2 * i] = all[i];
  return floats(wide).as_strided(std::vector<std::int64_t>{static_cast<std::int64_t>(all.size())}, std::vector<std::int64_t>{2});
}

bool close(const Values& got, const Values& want) {
  return std::ranges::equal(got, want, [](float a, float b) { return std::abs(a - b) <= 1e-5F; });
}

Values normed(const Values& x) {
  double sum = 0, squares = 0;
  for (const float v : x) sum += v;
  const double n = static_cast<double>(x.size()), mean = sum / n;
  for (const float v : x) squares += (v - mean) * (v - mean);
  Values y;
  for (const float v : x) y.push_back(static_cast<float>((v - mean) / std::sqrt(squares / n + kEps)));
  return y;
}

Values shares(const Values& x) {
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - *std::ranges::max_element(x));
  Values y;
  for (const float v : x) y.push_back(static_cast<float>(std::exp(static_cast<double>(v) - *std::ranges::max_element(x)) / sum));
  return y;
}

void compare(unsigned module, const std::vector<Argument>& results, const Wanted& want, const Tensor& cache) {
  const auto result = [&](std::size_t i) -> const Tensor& { return std::get<Tensor>(results.at(i)); };
  expect(read(result(0)) == want.y, "y");
  expect(read(result(1)) == want.after, "after");
  expect(read(result(2)) == want.twice, "twice");
  expect(read(cache) == want.cache, "the mutated input");
  if (is_pure(module)) expect(read(result(3)) == want.moved, "moved");
  if (module == kForeign) expect(close(read(result(3)), want.extra), "normed");
  if (module == kMixed) expect(close(read(result(4)), want.extra), "shares");
  if (module != kDynamic) return;
  expect(read<std::int64_t>(result(3)) == want.positions, "positions");
  expect(read(result(4)) == want.extra, "branch");
}

}  // namespace

Wanted World::predict(unsigned module, const Values& x, const Values& cache) {
  constexpr std::array<float, 4> kW = {1, 2, 3, 4};
  Wanted want;
  want.after = programs_[module].total;
  want.cache = cache;
  for (std::size_t i = 0; i < x.size(); ++i) {
    want.y.push_back(4 * x[i]);
    want.twice.push_back(2 * x[i]);
    if (x[i] != 0) want.positions.push_back(static_cast<std::int64_t>(i));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    want.after[i] = cache[i] + (is_pure(module) ? 0 : want.after[i]);
    want.moved.push_back(cache[i] + kW[i]);
  }
  if (module == kForeign) want.extra = normed(x);
  if (module == kMixed) want.extra = shares(x);
  for (std::size_t i = 0; module == kDynamic && i < 4; ++i) want.extra.push_back(want.after[i] + (want.after[0] < kLimit ? kW[i] : want.after[i]));
  if (is_pure(module)) return want;
  want.cache = want.moved;
  programs_[module].total = want.after;
  return want;
}

void World::check_state(unsigned module) const {
  if (!is_pure(module)) expect(read(programs_[module].module.state("total")) == programs_[module].total, "the state");
}

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
  if (step.form % 11 == 10 && !(other_device() == checked_device())) {
    x_tensor = runtime::copy_to(x_tensor, other_device());
    used_other_ = true;
    if (!is_safe()) return refuse<InvalidArgument>(step, x_tensor, "an input on another device passed");
  }
  Step taken = step;  // at a bucket's length
  taken.n = batch_of(step);
  const auto chosen = choose_profile(step.module, taken.n);
  if (!chosen) return refuse<ShapeError>(step, x_tensor, "sizes that do not fit the profile passed");
  const Tensor cache_tensor = step.form % 3 == 0 ? on_device(floats(cache)) : step.form % 3 == 1 ? floats(cache) : strided(cache);
  const auto before = checked.module.stats();
  const bool owned = step.kind != Step::call && step.module != kDynamic;
  if (shared_ && has_live_step(step)) return;  // others open scopes of the module, and so choose whether it fails
  if (must_fail(step)) return failing_call(step, *chosen, x_tensor, cache_tensor, cache);
  const auto results = owned ? run_into(step, x_tensor, cache_tensor) : reprise::test::call(checked.module, {x_tensor, cache_tensor});
  compare(step.module, results, predict(step.module, x, cache), cache_tensor);
  check_state(step.module);
  const auto after = checked.module.stats();
  if (!shared_) expect(after.bucketed_calls - before.bucketed_calls == (taken.n != step.n ? 1 : 0), "calls at a length of a bucket");
  if (!shared_) check_counts(taken, *chosen, before, after, owned);
  remember(step, results, owned, taken.n);
}

void World::overlap(const Step& step) {
  if (step.module == kDynamic || has_live_step(step) || shared_) return;
  if (!choose_profile(step.module, step.n)) return;
  const Values x(step.n, static_cast<float>(step.choice)), other(step.n, 3), cache = {1, 2, 3, 4};
  const Tensor x_tensor = step.form % 2 == 0 ? strided(x) : on_device(floats(x)), cache_tensor = on_device(floats(cache)), again = on_device(floats(cache));
  const std::vector<Tensor> out = make_outputs(step);
  const Stream& stream = streams_[step.choice % streams_.size()];
  at(step).module.enqueue(std::vector<Tensor>{x_tensor, cache_tensor}, out, stream);
  const Wanted first = predict(step.module, x, cache);
  (void)choose_profile(step.module, batch_of({.kind = Step::call, .module = step.module, .n = step.n}));
  const auto results = reprise::test::call(at(step).module, {on_device(floats(other)), again});
  const Wanted second = predict(step.module, other, cache);
  stream.synchronize();
  compare(step.module, {out.begin(), out.end()}, first, cache_tensor);
  compare(step.module, results, second, again);
  check_state(step.module);
  at(step).held.clear();
  at(step).changed = false;
  at(step).last_y = {};
}

void World::call_plainly(unsigned module) {
  const Values x = {1, 0, 2}, cache = {1, 2, 3, 4};
  (void)choose_profile(module, batch_of({.kind = Step::call, .module = module, .n = 3}));
  const Tensor cache_tensor = on_device(floats(cache));
  const auto results = reprise::test::call(programs_[module].module, {on_device(floats(x)), cache_tensor});
  compare(module, results, predict(module, x, cache), cache_tensor);
  check_state(module);
  programs_[module].changed = false;
  programs_[module].last_y = {};
}

void World::failing_call(const Step& step, int profile_taken, const Tensor& x, const Tensor& cache_tensor, const Values& cache) {
  const auto before = at(step).module.stats();
  try {
    (void)reprise::test::call(at(step).module, {x, cache_tensor});
  } catch (const Error&) {
    const auto after = at(step).module.stats();
    expect(after.failed_calls == before.failed_calls + 1 && after.replays == before.replays, "a call that failed");
    check_state(step.module);
    expect(values(Argument(runtime::copy_to(cache_tensor, Device::cpu()))) == cache, "the mutated input after a call that failed");
    note_use(at(step), shape_key(step, profile_taken), options(step.module).max_recordings);
    at(step).changed = false;
    at(step).last_y = {};  // memory was made for results that did not come
    return;
  }
  expect(false, "a step that cannot be recorded passed");
}

std::vector<Argument> World::run_into(const Step& step, const Tensor& x, const Tensor& cache) {
  const bool on_input = step.form % 7 == 0 && x.device() == checked_device() && x.is_contiguous();
  const std::vector<Tensor> in = {x, cache};
  std::vector<Tensor> out = make_outputs(step);
  if (on_input) out[0] = x;
  if (step.kind == Step::run) {
    at(step).module.run(in, out);
  } else if (step.kind == Step::bound) {
    at(step).module.bind(in, out)();
  } else {
    const Stream& stream = streams_[step.choice % streams_.size()];
    at(step).module.enqueue(in, out, stream);
    stream.synchronize();
  }
  return {out.begin(), out.end()};
}

std::vector<Tensor> World::make_outputs(const Step& step) {
  const auto fresh = [](std::size_t n) { return on_device(floats(Values(n, -1))); };
  std::vector<Tensor> out = {fresh(step.n), fresh(4), fresh(step.n)};
  if (is_pure(step.module)) out.push_back(fresh(4));
  if (step.module == kForeign || step.module == kMixed) out.push_back(fresh(step.n));
  return out;
}

void World::keep_bound(const Step& step) {
  if (step.module == kDynamic || has_live_step(step)) return;
  Values wide(2 * step.n);
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = static_cast<float>((step.choice + i) % 3);
  Bound bound{.call = std::nullopt,
              .n = step.n,
              .profile = 0,
              .wide = on_device(floats(wide)),
              .cache = on_device(floats({1, 2, 3, 4})),
              .results = make_outputs(step)};
  if (step.form % 2 == 0) bind(step, bound);
  bound_[step.module] = std::move(bound);
}

void World::bind(const Step& step, Bound& bound) {
  const auto chosen = choose_profile(step.module, step.n);
  try {
    bound.call = at(step).module.bind(std::vector<Tensor>{bound.x(false), bound.cache}, bound.results);
    expect(chosen.has_value(), "sizes that do not fit the profile were bound");
    bound.profile = *chosen;
    at(step).changed = false;  // the call's context is of now
  } catch (const ShapeError&) {
    expect(!chosen, "sizes that fit were not bound");
  }
}

void World::run_bound(const Step& step) {
  auto& bound = bound_[step.module];
  if (!bound) return;
  if (!bound->call || step.form % 3 != 0) return run_kept(step);
  const auto before = at(step).module.stats();
  const auto now = profile(step.module);
  const bool may_stay = !now.fixed || now.active == bound->profile;
  const Values cache = read(bound->cache);
  try {
    (*bound->call)();
  } catch (const ShapeError&) {
    return expect(!may_stay && !fits(now.active, bound->n), "a bound call was refused");
  }
  const auto after = at(step).module.stats();
  const bool in_place = after.bound_calls > before.bound_calls;
  expect(may_stay || (!in_place && fits(now.active, bound->n)), "a bound call under another profile");
  if (!in_place) bound->profile = choose_profile(step.module, bound->n).value();
  if (!shared_ && !is_recorded(step)) expect(after.replays == before.replays, "a bound call replayed out of mode");
  compare(step.module, bound->arguments(), predict(step.module, read(bound->x(false)), cache), bound->cache);
  check_state(step.module);
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
    compare(step.module, bound.arguments(), predict(step.module, read(x), cache), bound.cache);
    check_state(step.module);
    if (!shared_) check_counts(step, *chosen, before, at(step).module.stats(), true);
  }
}

void World::remember(const Step& step, const std::vector<Argument>& results, bool owned, unsigned batch) {
  Checked& checked = at(step);
  const Tensor& y = std::get<Tensor>(results[0]);
  if (!owned && source(step.module) == Source::preallocated && checked.last_y.defined() && checked.last_y.sizes() == y.sizes() && checked.last_batch == batch)
    expect(checked.last_y.data() == y.data(), "a pre-allocated result moved");
  if (owned) return;
  checked.last_y = y;
  checked.last_batch = batch;
  if (source(step.module) != Source::fresh) return;
  kept_.push_back({std::get<Tensor>(results[1]), read(std::get<Tensor>(results[1]))});
  if (kept_.size() > 4) kept_.pop_front();
}

}  // namespace reprise::test::checker
