#include "kernels/cpu/attention/problem.h"

#include <algorithm>
#include <limits>

#include "kernels/isa.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

struct AllSet {
  static void run(const std::byte* flags, std::int64_t n, bool* result) {
    unsigned unset = 0;
    for (std::int64_t i = 0; i < n; ++i) unset |= flags[i] == std::byte{} ? 1U : 0U;
    *result = unset == 0;
  }
};

/// A row of a boolean mask as what is added to scores.
struct FlagsToAddends {
  static void run(const std::byte* flags, std::int64_t n, float* row) {
    for (std::int64_t i = 0; i < n; ++i) row[i] = flags[i] != std::byte{} ? 0.0F : -std::numeric_limits<float>::infinity();
  }
};
struct AnyNotZero {
  static void run(const float* row, std::int64_t n, bool* any) {
    unsigned found = 0;
    for (std::int64_t i = 0; i < n; ++i) found |= row[i] != 0 ? 1U : 0U;
    *any = found != 0;
  }
};

void check_operands(const StepSpec& spec) {
  using reference::check;
  const bool has_mask = spec.attrs->flag("has_mask", false);
  reference::check_counts(spec, has_mask ? 4 : 3, 1, 1);
  const OperandRef &q = spec.inputs[0], &k = spec.inputs[1], &v = spec.inputs[2], &y = spec.outputs[0];
  const int rank = q.rank, row = rank - 2, column = rank - 1;
  check(rank >= 2 && k.rank == rank && v.rank == rank && y.rank == rank && (!has_mask || spec.inputs[3].rank == rank), spec, "ranks differ");
  check(q.dtype == y.dtype && k.dtype == y.dtype && v.dtype == y.dtype, spec, "dtypes differ");
  for (const OperandRef& operand : spec.inputs) check(std::equal(y.sizes.begin(), y.sizes.begin() + row, operand.sizes.begin()), spec, "batch sizes differ");
  check(q.sizes[column] == k.sizes[column] && k.sizes[row] == v.sizes[row] && y.sizes[row] == q.sizes[row] && y.sizes[column] == v.sizes[column], spec,
        "the matrices do not fit");
  check(!has_mask || (spec.inputs[3].sizes[row] == q.sizes[row] && spec.inputs[3].sizes[column] == k.sizes[row]), spec, "the mask does not fit");
}

}  // namespace

Matrices::Matrices(const OperandRef& ref)
    : operand(ref),
      batches({ref.sizes.data(), static_cast<std::size_t>(ref.rank - 2)}, {ref.strides.data(), static_cast<std::size_t>(ref.rank - 2)}),
      row_stride(ref.strides[ref.rank - 2]),
      column_stride(ref.strides[ref.rank - 1]),
      item(static_cast<std::int64_t>(item_size(ref.dtype))) {}

AttentionProblem::AttentionProblem(const StepSpec& spec, std::int64_t most_queries)
    : has_mask(spec.attrs->flag("has_mask", false)),
      causal(spec.attrs->flag("causal", false)),
      scale(static_cast<float>(spec.attrs->real("scale"))),
      threads(std::max(1, spec.threads)),
      all_set_(best<AllSet>()),
      flags_to_addends_(best<FlagsToAddends>()),
      any_not_zero_(best<AnyNotZero>()) {
  check_operands(spec);
  q = Matrices(spec.inputs[0]);
  k = Matrices(spec.inputs[1]);
  v = Matrices(spec.inputs[2]);
  y = Matrices(spec.outputs[0]);
  if (has_mask) {
    mask = Matrices(spec.inputs[3]);
    read_mask_ = reference::read_run(mask.operand.dtype, DType::f32);
  }
  const int row = q.operand.rank - 2;
  heads = y.batches.numel();
  queries = q.operand.sizes[row];
  width = q.operand.sizes[row + 1];
  keys = k.operand.sizes[row];
  value_width = v.operand.sizes[row + 1];
  // Fewer heads than threads: smaller chunks.
  const std::int64_t share = (queries * heads + threads - 1) / threads;
  chunk = std::clamp<std::int64_t>(heads < threads ? share : queries, 1, most_queries);
}

AttentionJob AttentionProblem::job(void* const* bindings, std::int64_t index) const {
  const std::int64_t chunks = (queries + chunk - 1) / chunk, first = index % chunks * chunk;
  return {bindings, index / chunks, first, std::min(chunk, queries - first)};
}

int AttentionProblem::workers() const {
  constexpr double kSmall = 1 << 20;
  const double work = static_cast<double>(heads * queries) * static_cast<double>(keys * (width + value_width + 8));
  return work < kSmall ? 1 : threads;
}

std::int64_t AttentionProblem::visible(std::int64_t first, std::int64_t block, std::int64_t end) const {
  return std::clamp<std::int64_t>((causal ? std::min(keys, end) : keys) - first, 0, block);
}

bool AttentionProblem::load_mask(const AttentionJob& job, std::int64_t query, std::int64_t count, std::int64_t key, std::int64_t n, float* addends,
                                 std::int64_t stride) const {
  const std::int64_t rows = mask_is_shared() ? 1 : count, row_bytes = mask.row_stride * mask.item;
  const std::byte* from = mask.at(job.bindings, job.head, query, key);
  if (mask.operand.dtype == DType::boolean && mask.column_stride == 1) {
    bool all = true;
    for (std::int64_t r = 0; r < rows && all; ++r) all_set_(from + r * row_bytes, n, &all);
    if (all) return false;
    for (std::int64_t r = 0; r < rows; ++r) flags_to_addends_(from + r * row_bytes, n, addends + r * stride);
    return true;
  }
  bool any = false;
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = addends + r * stride;
    read_mask_(row, from + r * row_bytes, mask.column_stride, n);
    if (mask.operand.dtype == DType::boolean) {
      for (std::int64_t i = 0; i < n; ++i) row[i] = row[i] != 0 ? 0 : -std::numeric_limits<float>::infinity();
    }
    bool here = false;
    any_not_zero_(row, n, &here);
    any = any || here;
  }
  return any;
}

}  // namespace reprise::kernels::cpu
