// Comparison of results with a reference.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reprise/dtype.h"
#include "reprise/tensor.h"
#include "tensor/npz.h"

namespace reprise::cli {

struct Tolerance {
  std::optional<double> rtol, atol;  // as given; otherwise by dtype
  std::string arithmetic;            // "bf16", "f16": the module's converted dtype
};

struct Comparison {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> sizes;
  double max_abs = 0, max_rel = 0;  // rel: max_abs / max|reference|
  std::vector<std::int64_t> where;  // index of the largest difference
  double allowed = 0;               // of max_abs
  bool ok = false;
  std::string problem;  // missing, other sizes, NaN in other places
};

/// max|a - b| <= atol + rtol * max|reference| per array; NaN and infinities in the same places; integers and bool exactly, but for a given atol.
/// Default rtol: 1e-4 f32 (and f64), 1e-2 f16, 4e-2 bf16; atol 1e-6 (so that all-zero references compare).
Comparison compare(const std::string& name, const Tensor& got, const Tensor* reference, const Tolerance& tolerance);

void print_table(const std::vector<Comparison>& rows);
std::string to_json(const std::vector<Comparison>& rows);

}  // namespace reprise::cli
