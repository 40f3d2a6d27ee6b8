// Attention of bf16 on matrix units: 32 queries at a time against a block of keys. Scores are f32 [queries, keys]; probabilities are rounded to bf16 for the
// product with the values, which accumulates in f32 as well.
#include <algorithm>
#include <limits>

#include "kernels/cpu/attention/attention.h"
#include "kernels/cpu/attention/problem.h"
#include "kernels/cpu/vector.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

#if defined(__x86_64__)

#include "kernels/cpu/matrix_units.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kKeys = 128;                 // of a block
constexpr std::int64_t kChunk = 256;                // queries of a job
constexpr std::int64_t kQueries = 32;               // two tiles
constexpr std::int64_t kTile = 16;                  // rows of a tile, and its f32 columns
constexpr std::int64_t kPair = 32;                  // two tiles of columns, and the depth of one product
constexpr std::int64_t kTileItems = kTile * kPair;  // bf16 of a tile
constexpr float kLog2E = 1.44269504F;
constexpr float kOut = -std::numeric_limits<float>::infinity();

using Item = std::uint16_t;

constexpr std::int64_t padded(std::int64_t n) { return (n + kPair - 1) / kPair * kPair; }

/// 32 queries against a block of keys.
struct Block {
  std::int64_t depth, value_width;  // padded to kPair
  std::int64_t keys;
  const Item* q;         // [32, depth]
  const Item* k;         // [keys / 16, depth / 32] tiles: rows of pairs along the depth, one column a key
  const Item* v;         // [keys / 32, value_width / 16] tiles: rows of pairs of keys
  float* scores;         // [32, kKeys]
  Item* probabilities;   // [32, kKeys]
  float* result;         // [32, value_width], not divided by `sums` yet
  float *maxima, *sums;  // [32]
  std::int64_t queries;  // that count
  bool first;            // of the blocks: results, maxima and sums hold nothing yet
  float scale;
  const float* addends;  // of a mask: rows `addend_stride` apart; may be null
  std::int64_t addend_stride;
  std::int64_t causal_key;  // query i sees keys up to i + causal_key
};

/// Tiles 0 to 3 += [32 rows of a] x [two columns of tiles], over `steps` tiles of depth.
REPRISE_AMX inline void multiply(const Item* a, std::int64_t a_stride, const Item* b0, const Item* b1, std::int64_t b_step, std::int64_t steps) {
  for (std::int64_t s = 0; s < steps; ++s, a += kPair, b0 += b_step, b1 += b_step) {
    _tile_loadd(4, a, a_stride * 2);
    _tile_loadd(5, a + kTile * a_stride, a_stride * 2);
    _tile_loadd(6, b0, 64);
    _tile_loadd(7, b1, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}
REPRISE_AMX inline void keep(float* to, std::int64_t stride) {
  _tile_stored(0, to, stride * 4);
  _tile_stored(1, to + kTile, stride * 4);
  _tile_stored(2, to + kTile * stride, stride * 4);
  _tile_stored(3, to + kTile * stride + kTile, stride * 4);
}
REPRISE_AMX inline void clear() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

REPRISE_AMX void score(const Block& b) {
  const std::int64_t steps = b.depth / kPair;
  for (std::int64_t key = 0; key < b.keys; key += kPair) {
    const Item* k = b.k + key / kTile * steps * kTileItems;
    clear();
    multiply(b.q, b.depth, k, k + steps * kTileItems, kTileItems, steps);
    keep(b.scores + key, kKeys);
  }
}

/// 2^t for t <= 0, within 3e-6: more than bf16 holds. 0 below -126, where subnormal numbers would cost a hundred cycles each; NaN stays.
REPRISE_AMX inline __m512 exp2_of_bf16(__m512 t) {
  const __m512 lowest = _mm512_set1_ps(-126.0F), clamped = _mm512_max_ps(lowest, t);  // the second operand where one is NaN
  const __m512 n = _mm512_roundscale_ps(clamped, 0), r = _mm512_sub_ps(clamped, n);
  __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.00958285109F), _mm512_set1_ps(0.0559064299F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.240240991F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693124175F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(t, lowest, _CMP_NLT_UQ), p, n);
}

/// Lanes of the n keys from `key` on.
REPRISE_AMX inline __mmask16 lanes_of(std::int64_t n, std::int64_t key) {
  return static_cast<__mmask16>(n - key >= kTile ? 0xffff : n <= key ? 0 : (1U << (n - key)) - 1);
}

/// Scales a row of scores and adds what a mask adds; gives the largest of the first n.
REPRISE_AMX inline float prepare(float* row, std::int64_t n, float scale, const float* addends) {
  __m512 largest = _mm512_set1_ps(kOut);
  for (std::int64_t key = 0; key < n; key += kTile) {
    const __mmask16 lanes = lanes_of(n, key);
    __m512 x = _mm512_mul_ps(_mm512_loadu_ps(row + key), _mm512_set1_ps(scale));
    if (addends != nullptr) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(lanes, addends + key));
    _mm512_storeu_ps(row + key, x);
    largest = _mm512_mask_max_ps(largest, lanes, x, largest);
  }
  return _mm512_reduce_max_ps(largest);
}

/// Probabilities times their sum, of n keys and zeros behind them; gives the sum.
REPRISE_AMX inline float soften(const float* row, std::int64_t n, std::int64_t keys, float largest, Item* to) {
  const __m512 shift = _mm512_set1_ps(largest), factor = _mm512_set1_ps(kLog2E);
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, p[2];
  for (std::int64_t key = 0; key < keys; key += kPair) {
    for (int half = 0; half < 2; ++half) {
      const std::int64_t at = key + half * kTile;
      p[half] = exp2_of_bf16(_mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(row + at), shift), factor));
      if (at + kTile > n) p[half] = _mm512_maskz_mov_ps(lanes_of(n, at), p[half]);
      sum[half] = _mm512_add_ps(sum[half], p[half]);
    }
    _mm512_storeu_si512(to + key, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(p[1], p[0])));
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

REPRISE_AMX inline void shrink(float* row, std::int64_t n, float factor) {
  for (std::int64_t i = 0; i < n; i += kTile) _mm512_storeu_ps(row + i, _mm512_mul_ps(_mm512_loadu_ps(row + i), _mm512_set1_ps(factor)));
}

REPRISE_AMX void soften_rows(const Block& b) {
  const std::int64_t keys = padded(b.keys);
  for (std::int64_t r = 0; r < b.queries; ++r) {
    const std::int64_t n = std::clamp<std::int64_t>(b.causal_key + r + 1, 0, b.keys);
    float* row = b.scores + r * kKeys;
    const float before = b.first ? kOut : b.maxima[r];
    const float largest = std::max(before, prepare(row, n, b.scale, b.addends == nullptr ? nullptr : b.addends + r * b.addend_stride));
    const float shift = largest == kOut ? 0 : largest;
    const float sum = soften(row, n, keys, shift, b.probabilities + r * kKeys);
    b.maxima[r] = largest;
    if (b.first) {
      b.sums[r] = sum;
      continue;
    }
    const float factor = _mm512_cvtss_f32(exp2_of_bf16(_mm512_set1_ps((before - shift) * kLog2E)));
    b.sums[r] = b.sums[r] * factor + sum;
    if (factor != 1) shrink(b.result + r * b.value_width, b.value_width, factor);
  }
}

REPRISE_AMX void weigh(const Block& b) {
  const std::int64_t steps = padded(b.keys) / kPair, tiles = b.value_width / kTile;
  for (std::int64_t tile = 0; tile < tiles; tile += 2) {
    float* to = b.result + tile * kTile;
    if (b.first) {
      clear();
    } else {
      _tile_loadd(0, to, b.value_width * 4);
      _tile_loadd(1, to + kTile, b.value_width * 4);
      _tile_loadd(2, to + kTile * b.value_width, b.value_width * 4);
      _tile_loadd(3, to + kTile * b.value_width + kTile, b.value_width * 4);
    }
    const Item* v = b.v + tile * kTileItems;
    multiply(b.probabilities, kKeys, v, v + kTileItems, tiles * kTileItems, steps);
    keep(to, b.value_width);
  }
}

/// Eight tiles of 16 rows of 64 bytes.
TileConfig configuration() {
  TileConfig config;
  std::fill_n(config.row_bytes, 8, std::uint16_t{64});
  std::fill_n(config.rows, 8, std::uint8_t{kTile});
  return config;
}
REPRISE_AMX void release() { _tile_release(); }

REPRISE_AMX void run_block(const Block& b) {
  settle_memory();
  score(b);
  settle_memory();
  soften_rows(b);
  settle_memory();
  weigh(b);
  settle_memory();
}

/// Rows of keys [rows, depth], `stride` apart, as tiles.
struct PackKeys {
  REPRISE_INLINE static void run(const Item* from, std::int64_t stride, std::int64_t rows, std::int64_t depth, Item* to) {
    using V = Floats<16>;  // of pairs
    for (std::int64_t row = 0; row < rows; row += kTile) {
      for (std::int64_t d = 0; d < depth; d += kPair, to += kTileItems) {
        V pairs[kTile];
#pragma GCC unroll 16
        for (int i = 0; i < kTile; ++i) std::memcpy(&pairs[i], from + (row + i) * stride + d, sizeof(V));
        transpose(pairs);
#pragma GCC unroll 16
        for (int i = 0; i < kTile; ++i) std::memcpy(to + i * kPair, &pairs[i], sizeof(V));
      }
    }
  }
};

/// Rows of values [rows, width], `stride` apart, as tiles.
struct PackValues {
  using V [[gnu::vector_size(64)]] = Item;

  template <int... I>
  REPRISE_INLINE static void interleave(const Item* even, const Item* odd, Item* left, Item* right, std::integer_sequence<int, I...>) {
    V a, b;
    std::memcpy(&a, even, sizeof a);
    std::memcpy(&b, odd, sizeof b);
    const V low = __builtin_shufflevector(a, b, (I / 2 + I % 2 * 32)...), high = __builtin_shufflevector(a, b, (16 + I / 2 + I % 2 * 32)...);
    std::memcpy(left, &low, sizeof low);
    std::memcpy(right, &high, sizeof high);
  }
  REPRISE_INLINE static void run(const Item* from, std::int64_t stride, std::int64_t rows, std::int64_t width, Item* to) {
    for (std::int64_t row = 0; row < rows; row += 2, from += 2 * stride) {
      Item* line = to + row / kPair * kPair * width + row % kPair * kTile;
      for (std::int64_t c = 0; c < width; c += kPair) {
        Item* tile = line + c / kTile * kTileItems;
        interleave(from + c, from + stride + c, tile, tile + kTileItems, std::make_integer_sequence<int, kPair>{});
      }
    }
  }
};

/// A row of results divided by its sum, to memory without gaps.
REPRISE_AMX void finish_row(const float* result, float sum, std::int64_t n, Item* to) {
  const __m512 factor = _mm512_set1_ps(sum == 0 ? 0 : 1 / sum);  // nothing to attend to
  for (std::int64_t c = 0; c < n; c += kPair) {
    const __m512 low = _mm512_mul_ps(_mm512_loadu_ps(result + c), factor), high = _mm512_mul_ps(_mm512_loadu_ps(result + c + kTile), factor);
    const auto lanes = static_cast<__mmask32>(n - c >= kPair ? 0xffffffffU : (1U << (n - c)) - 1);
    _mm512_mask_storeu_epi16(to + c, lanes, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
}

/// Rows of bf16 without gaps between columns, zeros behind them.
void copy_rows(const Matrices& from, const AttentionJob& job, std::int64_t row, std::int64_t rows, std::int64_t columns, std::int64_t to_rows,
               std::int64_t to_columns, Item* to) {
  for (std::int64_t r = 0; r < to_rows; ++r, to += to_columns) {
    const std::int64_t n = r < rows ? columns : 0;
    const Item* source = n == 0 ? nullptr : reinterpret_cast<const Item*>(from.at(job.bindings, job.head, row + r));
    if (from.column_stride == 1)
      std::copy_n(source, n, to);
    else
      for (std::int64_t c = 0; c < n; ++c) to[c] = source[c * from.column_stride];
    std::fill(to + n, to + to_columns, Item{0});
  }
}

/// Scratch of a worker.
struct Buffers {
  Item *q, *k, *v, *rows, *probabilities;
  float *scores, *results, *maxima, *sums, *mask_rows;
};

class TileAttention {
 public:
  explicit TileAttention(const StepSpec& spec) : problem_(spec, kChunk) {}

  [[nodiscard]] std::size_t scratch_bytes() const { return worker_bytes() * static_cast<std::size_t>(problem_.threads); }

  void run(void* const* bindings, std::byte* scratch) const {
    parallel_jobs(problem_.workers(), problem_.jobs(), [&](std::int64_t index, int worker) {
      run_job(problem_.job(bindings, index), lay_out(scratch + static_cast<std::size_t>(worker) * worker_bytes()).second);
    });
  }

 private:
  [[nodiscard]] std::int64_t depth() const { return padded(problem_.width); }
  [[nodiscard]] std::int64_t values() const { return padded(problem_.value_width); }
  [[nodiscard]] std::int64_t queries() const { return padded(problem_.chunk); }

  /// Bytes, and where the buffers begin in `memory`.
  [[nodiscard]] std::pair<std::size_t, Buffers> lay_out(std::byte* memory) const {
    std::size_t at = 0;
    const auto take = [&]<class T>(T*& buffer, std::int64_t items) {
      buffer = memory == nullptr ? nullptr : reinterpret_cast<T*>(memory + at);
      at += reference::aligned(static_cast<std::size_t>(items) * sizeof(T));
    };
    Buffers b{};
    take(b.q, queries() * depth());
    take(b.k, kKeys * depth());
    take(b.v, kKeys * values());
    take(b.rows, kKeys * std::max(depth(), values()));
    take(b.probabilities, kQueries * kKeys);
    take(b.scores, kQueries * kKeys);
    take(b.results, queries() * values());
    take(b.maxima, queries());
    take(b.sums, queries());
    take(b.mask_rows, problem_.has_mask ? kQueries * kKeys : 0);
    return {at, b};
  }
  [[nodiscard]] std::size_t worker_bytes() const { return lay_out(nullptr).first; }

  /// Rows that whole vectors may be read of: where they lie, or copied.
  std::pair<const Item*, std::int64_t> rows_of(const Matrices& from, const AttentionJob& job, std::int64_t key, std::int64_t n, std::int64_t columns,
                                               Item* buffer) const {
    if (from.column_stride == 1 && n % kPair == 0 && columns % kPair == 0)
      return {reinterpret_cast<const Item*>(from.at(job.bindings, job.head, key)), from.row_stride};
    copy_rows(from, job, key, n, columns, padded(n), padded(columns), buffer);
    return {buffer, padded(columns)};
  }

  void load_keys(const AttentionJob& job, const Buffers& b, std::int64_t key, std::int64_t n) const {
    const auto [k, k_stride] = rows_of(problem_.k, job, key, n, problem_.width, b.rows);
    run_avx512<PackKeys>(k, k_stride, padded(n), depth(), b.k);
    const auto [v, v_stride] = rows_of(problem_.v, job, key, n, problem_.value_width, b.rows);
    run_avx512<PackValues>(v, v_stride, padded(n), values(), b.v);
  }

  void run_blocks(const AttentionJob& job, const Buffers& b, std::int64_t key) const {
    const std::int64_t keys = problem_.visible(key, kKeys, job.first + job.count);
    load_keys(job, b, key, keys);
    for (std::int64_t at = 0; at < job.count; at += kQueries) {
      const std::int64_t query = job.first + at, count = std::min(kQueries, job.count - at), seen = problem_.visible(key, keys, query + count);
      if (seen == 0 && key != 0) continue;
      const bool masked = problem_.has_mask && problem_.load_mask(job, query, count, key, seen, b.mask_rows, kKeys);
      run_block({.depth = depth(),
                 .value_width = values(),
                 .keys = seen,
                 .q = b.q + at * depth(),
                 .k = b.k,
                 .v = b.v,
                 .scores = b.scores,
                 .probabilities = b.probabilities,
                 .result = b.results + at * values(),
                 .maxima = b.maxima + at,
                 .sums = b.sums + at,
                 .queries = count,
                 .first = key == 0,
                 .scale = problem_.scale,
                 .addends = masked ? b.mask_rows : nullptr,
                 .addend_stride = problem_.mask_is_shared() ? 0 : kKeys,
                 .causal_key = problem_.causal ? query - key : kKeys});
    }
  }

  void store_results(const AttentionJob& job, const Buffers& b) const {
    const Matrices& y = problem_.y;
    for (std::int64_t r = 0; r < job.count; ++r) {
      auto* to = reinterpret_cast<Item*>(y.at(job.bindings, job.head, job.first + r));
      finish_row(b.results + r * values(), b.sums[r], problem_.value_width, y.column_stride == 1 ? to : b.rows);
      if (y.column_stride == 1) continue;
      for (std::int64_t c = 0; c < problem_.value_width; ++c) to[c * y.column_stride] = b.rows[c];
    }
  }

  void run_job(const AttentionJob& job, const Buffers& b) const {
    // Rows beyond the queries take part in products, and what they give is not looked at.
    copy_rows(problem_.q, job, job.first, job.count, problem_.width, padded(job.count), depth(), b.q);
    std::fill_n(b.probabilities, kQueries * kKeys, Item{0});
    configure(configuration());
    run_blocks(job, b, 0);
    for (std::int64_t key = kKeys; problem_.visible(key, kKeys, job.first + job.count) > 0; key += kKeys) run_blocks(job, b, key);
    release();
    store_results(job, b);
  }

  AttentionProblem problem_;
};

}  // namespace

StepPtr make_tile_attention(const StepSpec& spec) {
  auto attention = std::make_shared<const TileAttention>(spec);
  return reference::make_step(attention->scratch_bytes(), [attention](void* const* bindings, std::byte* scratch) { attention->run(bindings, scratch); });
}

}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {

StepPtr make_tile_attention(const StepSpec&) { return nullptr; }  // machine_isa() is never amx

}  // namespace reprise::kernels::cpu

#endif
