#include "ops/loops.h"

#include <algorithm>

namespace reprise::ops {
namespace {

constexpr std::int64_t kLongestUnrolled = 256;

Shape stacked(const Expr& steps, const ir::TensorMeta& slice) {
  Shape sizes = slice.sizes;
  sizes.insert(sizes.begin(), steps);
  return sizes;
}

LoopResult unroll(Builder& b, const Loop& loop, std::int64_t steps, const LoopBody& body) {
  LoopResult out{loop.carry, {}};
  std::vector<std::vector<Val>> slices(loop.slices.size());
  for (std::int64_t i = 0; i < steps; ++i) {
    const std::int64_t t = loop.reverse ? steps - 1 - i : i;
    Step step = body([&](Val x) { return b.select(x, 0, t); }, out.carry);
    out.carry = std::move(step.carry);
    for (std::size_t k = 0; k < slices.size(); ++k) slices[k].push_back(b.unsqueeze(step.slices[k], 0));
  }
  for (std::size_t k = 0; k < slices.size(); ++k) {
    if (loop.reverse) std::reverse(slices[k].begin(), slices[k].end());
    out.stacks.push_back(steps > 0 ? b.concat(slices[k], 0) : b.fill(stacked(0, loop.slices[k]), Expr(0), loop.slices[k].dtype));
  }
  return out;
}

/// The loop's state is the step's number (an i64 of one element), what is carried, and the stacks, whose rows are written one by one.
struct WhileLoop {
  Builder& b;
  const Loop& loop;

  std::vector<Val> initial() const {
    std::vector<Val> out = {b.fill({1}, Expr(0), DType::i64)};
    out.insert(out.end(), loop.carry.begin(), loop.carry.end());
    for (const auto& slice : loop.slices) out.push_back(b.fill(stacked(loop.steps, slice), Expr(0), slice.dtype));
    return out;
  }

  std::vector<Val> next(std::span<const Val> state, const LoopBody& body) const {
    const auto carried = loop.carry.size();
    const Val t = loop.reverse ? compute(
                                     b, [&](Term i) { return i.of(loop.steps - 1) - i; }, state[0])
                               : state[0];
    const auto row = [&](Val x) { return b.select(b.index_select(x, t, 0), 0, 0); };
    const Step step = body(row, state.subspan(1, carried));
    std::vector<Val> out = {compute(
        b, [](Term i) { return i + 1; }, state[0])};
    out.insert(out.end(), step.carry.begin(), step.carry.end());
    for (std::size_t k = 0; k < loop.slices.size(); ++k)
      out.push_back(b.index_put(state[1 + carried + k], b.unsqueeze(step.slices[k], 0), std::span(&t, 1), {0}, 0, false));
    return out;
  }

  static std::vector<Val> like(Builder& b, std::span<const Val> values) {
    std::vector<Val> out;
    for (const Val& v : values) out.push_back(b.new_root(v.dtype(), v.sizes()));
    return out;
  }

  LoopResult run(const LoopBody& body) const {
    const std::vector<Val> init = initial();
    auto condition = b.region(
        [&](std::span<const Val> state) {
          return std::vector{b.reshape(compute(
                                           b, [&](Term i) { return i < i.of(loop.steps); }, state[0]),
                                       {})};
        },
        like(b, init));
    auto step = b.region([&](std::span<const Val> state) { return next(state, body); }, like(b, init));
    const std::vector<Val> final = b.while_loop(init, std::move(condition), std::move(step));
    const auto stacks = final.begin() + 1 + static_cast<std::ptrdiff_t>(loop.carry.size());
    return {{final.begin() + 1, stacks}, {stacks, final.end()}};
  }
};

}  // namespace

LoopResult run_loop(Builder& b, const Loop& loop, const LoopBody& body) {
  if (const auto steps = loop.steps.as_int(); steps && *steps <= kLongestUnrolled) return unroll(b, loop, *steps, body);
  return WhileLoop{b, loop}.run(body);
}

}  // namespace reprise::ops
