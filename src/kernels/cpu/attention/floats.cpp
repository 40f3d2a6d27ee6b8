// Attention in f32 arithmetic for every floating dtype but f64. Queries lie across the lanes of vectors: scores are computed as [keys, queries] and results as
// [value width, queries], so that maxima and sums of the softmax need no reduction across lanes, and keys and values are only ever broadcast.
#include <algorithm>
#include <limits>

#include "kernels/cpu/attention/attention.h"
#include "kernels/cpu/attention/problem.h"
#include "kernels/cpu/vector.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kKeys = 64;      // of a block
constexpr std::int64_t kQueries = 128;  // of a job
constexpr std::int64_t kRows = 8;       // keys, or value columns, come in multiples of it
constexpr std::int64_t kMostLanes = 32;
constexpr float kLog2E = 1.44269504F;
constexpr float kOut = -std::numeric_limits<float>::infinity();

constexpr std::int64_t padded(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// 2W queries against a block of keys.
struct Block {
  std::int64_t width, value_width;  // value_width: padded to kRows
  std::int64_t keys;
  const float* q;  // [width, 2W], scaled
  const float* k;  // [keys padded to kRows, width], rows k_stride apart
  const float* v;  // [keys, value_width], rows v_stride apart
  std::int64_t k_stride, v_stride;
  float* scores;         // [keys padded to kRows, 2W]
  float* result;         // [value_width, 2W], not divided by `sums` yet
  float *maxima, *sums;  // [2W]
  bool first;            // of the blocks: results, maxima and sums hold nothing yet
  const float* addends;  // of a mask: [keys, 2W], or [keys] where they are the same for all queries; may be null
  bool shared_addends;
  std::int64_t causal_key;  // scores[key][lane] with key > lane + causal_key are out
};

template <int W>
struct OfBlock {
  using V = Floats<W>;
  static constexpr std::int64_t kLanes = 2 * W;
  static constexpr int kTile = W == 16 ? 8 : 4;  // rows: 2 accumulators each

  /// rows[r][lane] += a[r * row + d * step] * b[d][lane], summed over d.
  REPRISE_INLINE static void multiply(std::int64_t depth, const float* a, std::int64_t row, std::int64_t step, const float* b, V (&rows)[kTile][2]) {
    for (std::int64_t d = 0; d < depth; ++d, a += step, b += kLanes) {
      const V b0 = load<V>(b), b1 = load<V>(b + W);
#pragma GCC unroll 8
      for (int r = 0; r < kTile; ++r) {
        rows[r][0] += a[r * row] * b0;
        rows[r][1] += a[r * row] * b1;
      }
    }
  }

  REPRISE_INLINE static void keep(const V (&rows)[kTile][2], float* to) {
#pragma GCC unroll 8
    for (int r = 0; r < kTile; ++r) {
      store(to + r * kLanes, rows[r][0]);
      store(to + r * kLanes + W, rows[r][1]);
    }
  }

  REPRISE_INLINE static void score(const Block& b) {
    for (std::int64_t key = 0; key < b.keys; key += kTile) {
      V rows[kTile][2] = {};
      multiply(b.width, b.k + key * b.k_stride, b.k_stride, 1, b.q, rows);
      keep(rows, b.scores + key * kLanes);
    }
  }

  REPRISE_INLINE static void apply_mask(const Block& b) {
    V lanes;
    for (int i = 0; i < W; ++i) lanes[i] = static_cast<float>(i);
    for (std::int64_t key = 0; key < b.keys; ++key) {
      for (int half = 0; half < 2; ++half) {
        float* at = b.scores + key * kLanes + half * W;
        V s = load<V>(at);
        if (b.addends != nullptr) s += b.shared_addends ? broadcast<V>(b.addends[key]) : load<V>(b.addends + key * kLanes + half * W);
        const auto first_out = static_cast<float>(std::clamp<std::int64_t>(key - b.causal_key - half * W, -1, W));
        store(at, lanes < first_out ? broadcast<V>(kOut) : s);
      }
    }
  }

  /// Turns scores into probabilities times sums; gives by what earlier results and sums shrink.
  REPRISE_INLINE static void soften(const Block& b, V (&shrink)[2]) {
    V largest[2], sum[2];
    for (int half = 0; half < 2; ++half) {
      largest[half] = b.first ? broadcast<V>(kOut) : load<V>(b.maxima + half * W);
      sum[half] = b.first ? V{} : load<V>(b.sums + half * W);
    }
    V seen[2] = {largest[0], largest[1]};
    for (std::int64_t key = 0; key < b.keys; ++key) {
      seen[0] = larger_of(load<V>(b.scores + key * kLanes), seen[0]);
      seen[1] = larger_of(load<V>(b.scores + key * kLanes + W), seen[1]);
    }
    for (int half = 0; half < 2; ++half) {
      store(b.maxima + half * W, seen[half]);
      seen[half] = seen[half] == kOut ? V{} : seen[half];
      shrink[half] = exp2_of((largest[half] - seen[half]) * kLog2E);
      sum[half] *= shrink[half];
    }
    for (std::int64_t key = 0; key < b.keys; ++key) {
      float* at = b.scores + key * kLanes;
      const V p0 = exp2_of((load<V>(at) - seen[0]) * kLog2E), p1 = exp2_of((load<V>(at + W) - seen[1]) * kLog2E);
      store(at, p0);
      store(at + W, p1);
      sum[0] += p0;
      sum[1] += p1;
    }
    store(b.sums, sum[0]);
    store(b.sums + W, sum[1]);
  }

  REPRISE_INLINE static void weigh(const Block& b, const V (&shrink)[2]) {
    for (std::int64_t column = 0; column < b.value_width; column += kTile) {
      V rows[kTile][2] = {};
      float* to = b.result + column * kLanes;
      if (!b.first) {
#pragma GCC unroll 8
        for (int r = 0; r < kTile; ++r) {
          rows[r][0] = load<V>(to + r * kLanes) * shrink[0];
          rows[r][1] = load<V>(to + r * kLanes + W) * shrink[1];
        }
      }
      multiply(b.keys, b.v + column, 1, b.v_stride, b.scores, rows);
      keep(rows, to);
    }
  }

  REPRISE_INLINE static void run(const Block* block) {
    const Block& b = *block;
    V shrink[2];
    score(b);
    if (b.addends != nullptr || b.keys - 1 > b.causal_key) apply_mask(b);
    soften(b, shrink);
    weigh(b, shrink);
  }
};

/// W vectors of `from`, rows `stride` apart, transposed to rows `to_stride` apart, `columns` at a time W; each multiplied by `factor`.
template <int W>
struct Turn {
  REPRISE_INLINE static void run(const float* from, std::int64_t stride, std::int64_t columns, float* to, std::int64_t to_stride, float factor) {
    using V = Floats<W>;
    for (std::int64_t c = 0; c < columns; c += W) {
      V rows[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) rows[i] = load<V>(from + i * stride + c) * factor;
      transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) store(to + (c + i) * to_stride, rows[i]);
    }
  }
};

/// Results of W queries divided by their sums, as rows.
template <int W>
struct Finish {
  REPRISE_INLINE static void run(const float* result, const float* sums, std::int64_t columns, float* to, std::int64_t to_stride) {
    using V = Floats<W>;
    const V sum = load<V>(sums), factor = sum == 0.0F ? V{} : 1.0F / sum;  // nothing to attend to
    for (std::int64_t c = 0; c < columns; c += W) {
      V rows[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) rows[i] = load<V>(result + (c + i) * 2 * W) * factor;
      transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) store(to + i * to_stride + c, rows[i]);
    }
  }
};

/// Scratch of a worker.
struct Buffers {
  float *q, *k, *v, *scores, *results, *maxima, *sums, *mask_rows, *addends, *lines;
};

class FloatAttention {
 public:
  explicit FloatAttention(const StepSpec& spec)
      : problem_(spec, kQueries),
        lanes_(active_isa() >= Isa::avx512 ? 32
               : active_isa() == Isa::avx2 ? 16
                                           : 8),
        read_rows_(of_best_width<ReadRows>(spec.outputs[0].dtype)),
        write_rows_(of_best_width<WriteRows>(spec.outputs[0].dtype)) {}

  [[nodiscard]] std::size_t scratch_bytes() const { return worker_bytes() * static_cast<std::size_t>(problem_.threads); }

  void run(void* const* bindings, std::byte* scratch) const {
    parallel_jobs(problem_.workers(), problem_.jobs(), [&](std::int64_t index, int worker) {
      auto* memory = reinterpret_cast<float*>(scratch + static_cast<std::size_t>(worker) * worker_bytes());
      run_job(problem_.job(bindings, index), lay_out(memory).second);
    });
  }

 private:
  [[nodiscard]] std::int64_t padded_width() const { return padded(problem_.width, 16); }
  [[nodiscard]] std::int64_t padded_values() const { return padded(problem_.value_width, 16); }
  [[nodiscard]] std::int64_t padded_chunk() const { return padded(problem_.chunk, lanes_); }

  /// Bytes, and where the buffers begin in `memory`.
  [[nodiscard]] std::pair<std::size_t, Buffers> lay_out(float* memory) const {
    std::int64_t at = 0;
    const auto take = [&](std::int64_t items) {
      float* const begin = memory == nullptr ? nullptr : memory + at;
      at += padded(items, 16);
      return begin;
    };
    Buffers b{};
    b.q = take(padded_chunk() * padded_width());
    b.k = take(kKeys * problem_.width);
    b.v = take(kKeys * padded(problem_.value_width, kRows));
    b.scores = take(kKeys * lanes_);
    b.results = take(padded_chunk() * padded_values());
    b.maxima = take(padded_chunk());
    b.sums = take(padded_chunk());
    b.mask_rows = take(kKeys * lanes_);
    b.addends = take(kKeys * lanes_);
    b.lines = take(kMostLanes * std::max(padded_width(), padded_values()));
    return {static_cast<std::size_t>(at) * sizeof(float), b};
  }
  [[nodiscard]] std::size_t worker_bytes() const { return lay_out(nullptr).first; }

  void read(const Matrices& from, const AttentionJob& job, std::int64_t row, std::int64_t rows, std::int64_t columns, float* to, std::int64_t stride) const {
    read_rows_(from.at(job.bindings, job.head, row), from.row_stride, from.column_stride, rows, columns, to, stride);
  }

  /// Queries as [width, lanes] for each group of lanes; zeros where a group is not full.
  void load_queries(const AttentionJob& job, const Buffers& b) const {
    const std::int64_t half = lanes_ / 2, line = padded_width();
    for (std::int64_t at = 0; at < padded(job.count, lanes_); at += half) {
      const std::int64_t n = std::clamp<std::int64_t>(job.count - at, 0, half);
      read(problem_.q, job, job.first + at, n, problem_.width, b.lines, line);
      std::fill(b.lines + n * line, b.lines + half * line, 0.0F);
      turn_(b.lines, line, line, b.q + at / lanes_ * lanes_ * line + at % lanes_, lanes_, problem_.scale);
    }
  }

  /// Keys or values where they lie if a block can be read there, else in `buffer`; and the distance of their rows.
  std::pair<const float*, std::int64_t> rows_of(const Matrices& from, const AttentionJob& job, std::int64_t key, std::int64_t n, std::int64_t columns,
                                                bool direct, std::int64_t stride, float* buffer) const {
    if (direct && from.operand.dtype == DType::f32 && from.column_stride == 1)
      return {reinterpret_cast<const float*>(from.at(job.bindings, job.head, key)), from.row_stride};
    read(from, job, key, n, columns, buffer, stride);
    std::fill(buffer + n * stride, buffer + padded(n, kRows) * stride, 0.0F);
    return {buffer, stride};
  }

  /// Adds what a mask adds to the scores.
  void mask(const AttentionJob& job, const Buffers& b, std::int64_t query, std::int64_t count, std::int64_t key, Block& block) const {
    if (!problem_.has_mask || !problem_.load_mask(job, query, count, key, block.keys, b.mask_rows, kKeys)) return;
    block.addends = block.shared_addends ? b.mask_rows : b.addends;
    if (block.shared_addends) return;
    std::fill(b.mask_rows + count * kKeys, b.mask_rows + lanes_ * kKeys, 0.0F);
    for (std::int64_t half = 0; half < lanes_; half += lanes_ / 2) turn_(b.mask_rows + half * kKeys, kKeys, kKeys, b.addends + half, lanes_, 1.0F);
  }

  void run_blocks(const AttentionJob& job, const Buffers& b, std::int64_t key) const {
    const std::int64_t keys = problem_.visible(key, kKeys, job.first + job.count), values = padded(problem_.value_width, kRows);
    const auto [k, k_stride] = rows_of(problem_.k, job, key, keys, problem_.width, keys % kRows == 0, problem_.width, b.k);
    const auto [v, v_stride] = rows_of(problem_.v, job, key, keys, problem_.value_width, values == problem_.value_width, values, b.v);
    for (std::int64_t at = 0; at < job.count; at += lanes_) {
      const std::int64_t query = job.first + at, count = std::min(lanes_, job.count - at);
      Block block{.width = problem_.width,
                  .value_width = values,
                  .keys = problem_.visible(key, keys, query + count),
                  .q = b.q + at * padded_width(),
                  .k = k,
                  .v = v,
                  .k_stride = k_stride,
                  .v_stride = v_stride,
                  .scores = b.scores,
                  .result = b.results + at * padded_values(),
                  .maxima = b.maxima + at,
                  .sums = b.sums + at,
                  .first = key == 0,
                  .addends = nullptr,
                  .shared_addends = problem_.mask_is_shared(),
                  .causal_key = problem_.causal ? query - key : kKeys};
      if (block.keys == 0 && !block.first) continue;
      mask(job, b, query, count, key, block);
      run_block_(&block);
    }
  }

  void store_results(const AttentionJob& job, const Buffers& b) const {
    const std::int64_t half = lanes_ / 2, line = padded_values();
    const Matrices& y = problem_.y;
    for (std::int64_t at = 0; at < job.count; at += half) {
      finish_(b.results + at / lanes_ * lanes_ * line + at % lanes_, b.sums + at, line, b.lines, line);
      write_rows_(b.lines, line, std::min(half, job.count - at), problem_.value_width, y.at(job.bindings, job.head, job.first + at), y.row_stride,
                  y.column_stride);
    }
  }

  void run_job(const AttentionJob& job, const Buffers& b) const {
    load_queries(job, b);
    run_blocks(job, b, 0);
    for (std::int64_t key = kKeys; problem_.visible(key, kKeys, job.first + job.count) > 0; key += kKeys) run_blocks(job, b, key);
    store_results(job, b);
  }

  AttentionProblem problem_;
  std::int64_t lanes_;
  decltype(of_best_width<ReadRows>(DType::f32)) read_rows_;
  decltype(of_best_width<WriteRows>(DType::f32)) write_rows_;
  void (*run_block_)(const Block*) = of_best_width<OfBlock>();
  void (*turn_)(const float*, std::int64_t, std::int64_t, float*, std::int64_t, float) = of_best_width<Turn>();
  void (*finish_)(const float*, const float*, std::int64_t, float*, std::int64_t) = of_best_width<Finish>();
};

}  // namespace

StepPtr make_float_attention(const StepSpec& spec) {
  auto attention = std::make_shared<const FloatAttention>(spec);
  return reference::make_step(attention->scratch_bytes(), [attention](void* const* bindings, std::byte* scratch) { attention->run(bindings, scratch); });
}

}  // namespace reprise::kernels::cpu
