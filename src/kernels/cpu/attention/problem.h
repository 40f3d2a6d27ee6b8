// What attention is to compute, and how it is shared out: each job is a chunk of the queries of one head, which meets the keys block by block, so that nothing
// of the size queries x keys is held.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/reference/strided.h"

namespace reprise::kernels::cpu {

/// q, k, v, mask or y: batches (heads) of matrices.
struct Matrices {
  OperandRef operand;
  reference::Window batches;
  std::int64_t row_stride = 0, column_stride = 0, item = 0;

  Matrices() = default;
  explicit Matrices(const OperandRef& ref);
  [[nodiscard]] std::byte* at(void* const* bindings, std::int64_t batch, std::int64_t row, std::int64_t column = 0) const {
    return operand.at(bindings) + (batches.offset(batch) + row * row_stride + column * column_stride) * item;
  }
};

struct AttentionJob {
  void* const* bindings;
  std::int64_t head, first, count;  // queries
};

class AttentionProblem {
 public:
  /// Whose operands core/op.h allows; `chunk`: how many queries a job has at most.
  AttentionProblem(const StepSpec& spec, std::int64_t chunk);

  Matrices q, k, v, mask, y;
  bool has_mask = false, causal = false;
  float scale = 1;
  std::int64_t heads = 0, queries = 0, keys = 0, width = 0, value_width = 0;
  std::int64_t chunk = 1;
  int threads = 1;

  [[nodiscard]] std::int64_t jobs() const { return heads * ((queries + chunk - 1) / chunk); }
  [[nodiscard]] AttentionJob job(void* const* bindings, std::int64_t index) const;
  /// How many jobs may run at once: few operations are not worth a second thread.
  [[nodiscard]] int workers() const;
  /// How many of the keys from `first` on, `block` at most, some query below `end` may see.
  [[nodiscard]] std::int64_t visible(std::int64_t first, std::int64_t block, std::int64_t end) const;
  /// What is added to the scores of `count` queries from `query` on and `n` keys from `key` on, as rows `stride` apart. False, and nothing is written: 0
  /// everywhere. `rows` is 1 where all queries have the same.
  bool load_mask(const AttentionJob& job, std::int64_t query, std::int64_t count, std::int64_t key, std::int64_t n, float* addends, std::int64_t stride) const;
  [[nodiscard]] bool mask_is_shared() const { return mask.row_stride == 0; }

 private:
  reference::ReadRun read_mask_ = nullptr;
  void (*all_set_)(const std::byte*, std::int64_t, bool*);
  void (*flags_to_addends_)(const std::byte*, std::int64_t, float*);
  void (*any_not_zero_)(const float*, std::int64_t, bool*);
};

}  // namespace reprise::kernels::cpu
