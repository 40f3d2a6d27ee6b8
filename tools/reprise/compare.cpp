#include "compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/json.h"

namespace reprise::cli {

namespace {

double default_rtol(DType dtype, const std::string& arithmetic) {
  if (dtype == DType::bf16 || arithmetic == "bf16") return 4e-2;
  if (dtype == DType::f16 || arithmetic == "f16") return 1e-2;
  return 1e-4;
}

double allowed(DType dtype, double scale, const Tolerance& t) {
  if (!is_floating(dtype)) return t.atol.value_or(0);
  return t.atol.value_or(t.rtol ? 0 : 1e-6) + t.rtol.value_or(t.atol ? 0 : default_rtol(dtype, t.arithmetic)) * scale;
}

std::vector<std::int64_t> unravel(std::int64_t flat, const std::vector<std::int64_t>& sizes) {
  std::vector<std::int64_t> index(sizes.size());
  for (std::size_t d = sizes.size(); d-- > 0;) {
    index[d] = flat % sizes[d];
    flat /= sizes[d];
  }
  return index;
}

// Fills the differences; false when NaN or infinities stand in different places.
bool measure(Comparison& row, const Tensor& got, const Tensor& reference, double& scale) {
  const auto a = got.to(DType::f64).contiguous(), b = reference.to(DType::f64).contiguous();
  std::int64_t worst = 0;
  bool same_kind = true;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data_as<double>()[i], y = b.data_as<double>()[i];
    if (!std::isfinite(x) || !std::isfinite(y)) {
      const bool same = (std::isnan(x) && std::isnan(y)) || x == y;
      if (!same && same_kind) worst = i;
      same_kind = same_kind && same;
      continue;
    }
    scale = std::max(scale, std::abs(y));
    if (std::abs(x - y) > row.max_abs && same_kind) {
      row.max_abs = std::abs(x - y);
      worst = i;
    }
  }
  if (row.max_abs > 0 || !same_kind) row.where = unravel(worst, row.sizes);
  return same_kind;
}

}  // namespace

Comparison compare(const std::string& name, const Tensor& got, const Tensor* reference, const Tolerance& tolerance) {
  Comparison row;
  row.name = name;
  row.dtype = got.dtype();
  row.sizes = got.sizes();
  if (reference == nullptr) {
    row.problem = "not in the reference";
    return row;
  }
  if (reference->sizes() != got.sizes()) {
    row.problem = fmt::format("sizes differ (got [{}], want [{}])", fmt::join(got.sizes(), ", "), fmt::join(reference->sizes(), ", "));
    return row;
  }
  double scale = 0;
  const bool same_kind = measure(row, got, *reference, scale);
  row.max_rel = scale > 0 ? row.max_abs / scale : 0;
  row.allowed = allowed(got.dtype(), scale, tolerance);
  if (!same_kind) row.problem = "NaN or infinity in other places";
  row.ok = same_kind && row.max_abs <= row.allowed;
  if (same_kind && !row.ok) row.problem = "out of tolerance";
  return row;
}

void print_table(const std::vector<Comparison>& rows) {
  fmt::print("{:<14} {:<6} {:<20} {:>11} {:>11} {:>11}  {:<16} {}\n", "output", "dtype", "shape", "max abs", "max rel", "allowed", "where", "");
  for (const auto& r : rows) {
    fmt::print("{:<14} {:<6} {:<20} {:>11.3g} {:>11.3g} {:>11.3g}  {:<16} {}\n", r.name, reprise::name(r.dtype), fmt::format("[{}]", fmt::join(r.sizes, ", ")),
               r.max_abs, r.max_rel, r.allowed, fmt::format("[{}]", fmt::join(r.where, ", ")), r.ok ? "ok" : r.problem);
  }
}

std::string to_json(const std::vector<Comparison>& rows) {
  base::JsonWriter json(true);
  json.begin_object().key("outputs").begin_array();
  for (const auto& r : rows) {
    json.begin_object().field("name", r.name).field("dtype", reprise::name(r.dtype));
    json.key("shape").values(r.sizes);
    json.field("max_abs", r.max_abs).field("max_rel", r.max_rel).field("allowed", r.allowed);
    json.key("where").values(r.where);
    json.field("ok", r.ok).field("problem", r.problem).end_object();
  }
  json.end_array().field("ok", std::all_of(rows.begin(), rows.end(), [](const auto& r) { return r.ok; })).end_object();
  return json.take();
}

}  // namespace reprise::cli
