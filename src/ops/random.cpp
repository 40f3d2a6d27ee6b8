// Random numbers. Sizes and dtype are those that the exporter says of the output.
#include "ops/random.h"

#include <limits>

#include "base/check.h"

namespace reprise::ops {
namespace {

struct Wanted {
  Shape sizes;
  DType dtype;
  /// Draws in the dtype that distributions are computed in.
  [[nodiscard]] DType work() const { return is_floating(dtype) ? compute_type(dtype) : DType::f32; }
};

Wanted wanted(const Context& c) {
  const ir::TensorMeta* meta = c.output_meta(0);
  REPRISE_CHECK(meta != nullptr, InvalidArgument, "[ops/{}] the file does not say the output's sizes", c.node().target);
  return {meta->sizes, meta->dtype};
}

/// f(u) of uniform u in [0, 1), cast to the wanted dtype.
template <class F>
void set_from_uniform(Context& c, const F& f) {
  const Wanted w = wanted(c);
  c.set(0, compute(
               c.build(), [&](Term u) { return f(u).as(w.dtype); }, uniform(c.build(), w.sizes, w.work())));
}

void set_normal(Context& c, double mean, double std) {
  const Wanted w = wanted(c);
  c.set(0, c.build().cast(c.build().random("normal", w.sizes, mean, std, w.work()), w.dtype));
}

/// mean + std * n; either may be a number.
Convert normal_of_tensors(const char* mean, const char* std) {
  return [=](Context& c) {
    Builder& b = c.build();
    const Wanted w = wanted(c);
    const auto operand = [&](const char* name) { return c.is_tensor(name) ? c.tensor(name) : b.scalar(c.real(name), w.dtype); };
    const Val n = b.random("normal", w.sizes, 0, 1, w.work());
    c.set(0, compute(
                 b, [&](Term x, Term m, Term s) { return (x * s.as(x.type()) + m.as(x.type())).as(w.dtype); }, n, operand(mean), operand(std)));
  };
}

/// Integers in [low, high).
void set_integers(Context& c, const Expr& low, const Expr& high) {
  const Wanted w = wanted(c);
  const auto from = low.as_int(), to = high.as_int();
  if (from && to) {
    const Val drawn = c.build().random("integers", w.sizes, static_cast<double>(*from), static_cast<double>(*to), DType::i64);
    return c.set(0, c.build().cast(drawn, w.dtype));
  }
  const Val u = uniform(c.build(), w.sizes, DType::f64);
  c.set(0, compute(
               c.build(), [&](Term x) { return floor(x * x.of(high - low) + x.of(low)).as(w.dtype); }, u));
}

/// PyTorch's range of random_(): every integer that the dtype holds exactly.
Expr largest_plus_one(DType t) {
  switch (t) {
    case DType::boolean:
      return 2;
    case DType::f16:
      return 2049;
    case DType::bf16:
      return 257;
    case DType::f32:
      return (1 << 24) + 1;
    case DType::f64:
      return (std::int64_t{1} << 53) + 1;
    case DType::i64:
      return std::numeric_limits<std::int64_t>::max();
    default:
      return std::int64_t{1} << (8 * item_size(t) - (is_signed(t) ? 1 : 0));
  }
}

void convert_bernoulli(Context& c, std::string_view probability) {
  Builder& b = c.build();
  const Wanted w = wanted(c);
  const Val p = c.is_tensor(probability) ? c.tensor(probability) : b.scalar(c.real(probability), w.work());
  const auto body = [&](Term u, Term limit) { return (u < limit.as(u.type())).as(w.dtype); };
  c.set(0, compute(b, body, uniform(b, w.sizes, w.work()), p));
}

void convert_randperm(Context& c) {
  Builder& b = c.build();
  const Wanted w = wanted(c);
  c.set(0, b.cast(b.sort(uniform(b, w.sizes, DType::f64), 0, false, true).second, w.dtype));
}

/// Without replacement: the largest of p / (an exponential draw). With: the inverse of the cumulated probabilities.
void convert_multinomial(Context& c) {
  Builder& b = c.build();
  const Val p = b.cast(c.tensor("self"), compute_type(c.tensor("self").dtype()));
  const int axis = p.rank() - 1;
  const Expr count = c.integer("num_samples");
  if (!c.flag("replacement")) {
    const Val keys = compute(
        b, [](Term x, Term u) { return x / -log(1 - u); }, p, uniform(b, p.sizes(), p.dtype()));
    return c.set(0, b.topk(keys, count, axis, true, true).second);
  }
  const Val cumulated = b.scan(ir::ScanKind::sum, p, axis, p.dtype());
  const Val total = b.slice(cumulated, axis, p.size(axis) - 1, 1);
  const Val draws = compute(
      b, [](Term u, Term t) { return u * t; }, uniform(b, replaced(p.sizes(), axis, count), p.dtype()), total);
  const Val found = b.search_sorted(b.contiguous(cumulated), draws, true, DType::i64);
  c.set(0, compute(
               b, [&](Term i) { return min(i, i.of(p.size(axis) - 1)); }, found));
}

void add_plain_draws(Registry& r) {
  add_rows(r, [](Context& c) { set_from_uniform(c, [](Term u) { return u; }); },
           {"aten::rand(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
            "aten::rand_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? "
            "memory_format=None) -> "
            "Tensor"});
  add_rows(r, [](Context& c) { set_normal(c, 0, 1); },
           {"aten::randn(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
            "aten::randn_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? "
            "memory_format=None) -> "
            "Tensor"});
  add_rows(
      r, [](Context& c) { set_integers(c, 0, c.integer("high")); },
      {"aten::randint(SymInt high, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
       "aten::randint_like(Tensor self, SymInt high, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? "
       "memory_format=None) -> Tensor"});
  add_rows(r, [](Context& c) { set_integers(c, c.integer("low"), c.integer("high")); },
           {"aten::randint.low(SymInt low, SymInt high, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
            "pin_memory=None) -> Tensor",
            "aten::randint_like.low_dtype(Tensor self, SymInt low, SymInt high, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
            "pin_memory=None, "
            "MemoryFormat? memory_format=None) -> Tensor"});
  add_rows(r, convert_randperm,
           {"aten::randperm(SymInt n, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor"});
  add_rows(r, [](Context& c) { set_integers(c, 0, largest_plus_one(wanted(c).dtype)); }, {"aten::random(Tensor self, *, Generator? generator=None) -> Tensor"});
  add_rows(r, [](Context& c) { set_integers(c, c.integer("from"), c.is_none("to") ? largest_plus_one(wanted(c).dtype) : c.integer("to")); },
           {"aten::random.from(Tensor self, int from, int? to, *, Generator? generator=None) -> Tensor"});
  add_rows(r, [](Context& c) { set_integers(c, 0, c.integer("to")); }, {"aten::random.to(Tensor self, int to, *, Generator? generator=None) -> Tensor"});
}

void add_distributions(Registry& r) {
  add_rows(r, normal_of_tensors("mean", "std"),
           {"aten::normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor",
            "aten::normal.Tensor_float(Tensor mean, float std=1., *, Generator? generator=None) -> Tensor",
            "aten::normal.float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor"});
  add_rows(r, [](Context& c) { set_normal(c, c.real("mean"), c.real("std")); },
           {"aten::normal.float_float(float mean, float std, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? "
            "device=None, "
            "bool? pin_memory=None) -> Tensor",
            "aten::normal_functional(Tensor self, float mean=0., float std=1., *, Generator? generator=None) -> Tensor"});
  add_rows(r, [](Context& c) { set_from_uniform(c, [&](Term u) { return u * (c.real("to") - c.real("from")) + c.real("from"); }); },
           {"aten::uniform(Tensor self, float from=0., float to=1., *, Generator? generator=None) -> Tensor"});
  add_rows(r, [](Context& c) { set_from_uniform(c, [&](Term u) { return log(1 - u) / -c.real("lambd"); }); },
           {"aten::exponential(Tensor self, float lambd=1., *, Generator? generator=None) -> Tensor"});
  add_rows(r, [](Context& c) { convert_bernoulli(c, "self"); }, {"aten::bernoulli(Tensor self, *, Generator? generator=None) -> Tensor"});
  add_rows(r, [](Context& c) { convert_bernoulli(c, "p"); },
           {"aten::bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor",
            "aten::bernoulli.Tensor(Tensor self, Tensor p, *, Generator? generator=None) -> Tensor"});
  add_rows(r, convert_multinomial, {"aten::multinomial(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor"});
}

}  // namespace

Val uniform(Builder& b, const Shape& sizes, DType dtype) { return b.random("uniform", sizes, 0, 1, dtype); }

void add_random(Registry& r) {
  add_plain_draws(r);
  add_distributions(r);
}

}  // namespace reprise::ops
