// Window functions of signal processing.
#include <numbers>

#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

/// Of a position n from 0 and the last position of the symmetric window.
using Window = std::function<Term(Context&, Term n, double last)>;

constexpr double kTurn = 2 * std::numbers::pi;

double given(Context& c, std::string_view name, double fallback) {
  for (const auto& arg : c.node().args)
    if (arg.name == name) return c.real(name);
  return fallback;
}

/// A periodic window (the default) is the symmetric one of one more element, without that element.
void add_window(Registry& r, const std::string& name, std::initializer_list<const char*> forms, const Window& window) {
  for (const char* form : forms) {
    const bool has_periodic = std::string_view(form).find("periodic") != std::string_view::npos;
    const auto schema = "aten::" + name + form + ", *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None)";
    add_rows(r, {schema}, [window, has_periodic](Context& c) {
      const DType dtype = c.dtype("dtype").value_or(DType::f32);
      const auto length = c.fixed("window_length");
      if (length == 1) return c.set(0, c.build().fill({1}, 1.0, dtype));
      const auto last = static_cast<double>(!has_periodic || c.flag("periodic") ? length : length - 1);
      const Val n = c.build().iota(length, 0.0, 1.0, compute_type(dtype));
      c.set(0, compute(
                   c.build(), [&](Term i) { return window(c, i, last).as(dtype); }, n));
    });
  }
}

Term cosine(Term n, double turns) { return (n * (turns * kTurn)).apply(ScalarOp::cos); }

Term kaiser(Context& c, Term n, double last) {
  const double beta = given(c, "beta", 12);
  const Term x = n * (2 / last) - 1;
  return (sqrt(1 - x * x) * beta).apply(ScalarOp::i0) / n.of(beta).apply(ScalarOp::i0);
}

}  // namespace

void add_windows(Registry& r) {
  const char *plain = "(int window_length", *periodic = ".periodic(int window_length, bool periodic";
  add_window(r, "hann_window", {plain, periodic}, [](Context&, Term n, double last) { return 0.5 - cosine(n, 1 / last) * 0.5; });
  add_window(r, "hamming_window",
             {plain, periodic, ".periodic_alpha(int window_length, bool periodic, float alpha",
              ".periodic_alpha_beta(int window_length, bool periodic, float alpha, float beta"},
             [](Context& c, Term n, double last) { return given(c, "alpha", 0.54) - cosine(n, 1 / last) * given(c, "beta", 0.46); });
  add_window(r, "blackman_window", {plain, periodic},
             [](Context&, Term n, double last) { return cosine(n, 2 / last) * 0.08 - cosine(n, 1 / last) * 0.5 + 0.42; });
  add_window(r, "bartlett_window", {plain, periodic}, [](Context&, Term n, double last) {
    const Term rising = n * (2 / last);
    return (rising <= 1).pick(rising, 2 - rising);
  });
  add_window(r, "kaiser_window", {plain, periodic, ".beta(int window_length, bool periodic, float beta"}, kaiser);
}

}  // namespace reprise::ops
