// Attention. f16 and bf16 with heads up to 256 wide run on tensor cores; everything else with ordinary arithmetic.
#include <fmt/format.h>

#include <array>
#include <optional>
#include <span>

#include "kernels/cuda/contraction.h"
#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

/// struct Attention of text/attention.cuh.
struct AttentionLayout {
  using Batch = std::array<std::int64_t, kBatchDims>;
  std::int64_t queries = 0, keys = 0, width = 0, value_width = 0;
  std::int64_t q_row = 0, q_column = 0, k_row = 0, k_column = 0, v_row = 0, v_column = 0, mask_row = 0, mask_column = 0, y_row = 0, y_column = 0;
  std::int64_t batches = 1, query_tiles = 1, value_tiles = 1;
  double scale = 1;
  std::int32_t batch_rank = 0, causal = 0;
  Batch batch_sizes{}, q_batch{}, k_batch{}, v_batch{}, mask_batch{}, y_batch{};
};

struct Problem {
  OperandRef q, k, v, mask, y;
  bool has_mask = false;
  AttentionLayout layout = {};
};

void check_operands(const StepSpec& spec) {
  const bool has_mask = spec.attrs->flag("has_mask", false);
  check_counts(spec, has_mask ? 4 : 3, 1, 1);
  const OperandRef &q = spec.inputs[0], &k = spec.inputs[1], &v = spec.inputs[2], &y = spec.outputs[0], &mask = has_mask ? spec.inputs[3] : y;
  const int rank = q.rank, row = rank - 2, column = rank - 1;
  check(rank >= 2 && k.rank == rank && v.rank == rank && y.rank == rank && mask.rank == rank, spec, "ranks differ");
  check(q.dtype == y.dtype && k.dtype == y.dtype && v.dtype == y.dtype && is_floating(y.dtype), spec, "dtypes differ");
  for (int d = 0; d < row; ++d)
    check(q.sizes[d] == y.sizes[d] && k.sizes[d] == y.sizes[d] && v.sizes[d] == y.sizes[d] && mask.sizes[d] == y.sizes[d], spec, "batch sizes differ");
  check(q.sizes[column] == k.sizes[column] && k.sizes[row] == v.sizes[row] && y.sizes[row] == q.sizes[row] && y.sizes[column] == v.sizes[column], spec,
        "the matrices do not fit");
  check(!has_mask || (mask.sizes[row] == q.sizes[row] && mask.sizes[column] == k.sizes[row]), spec, "the mask does not fit");
}

void set_strides(const OperandRef& operand, std::int64_t& row, std::int64_t& column, AttentionLayout::Batch& batch) {
  row = operand.strides[operand.rank - 2];
  column = operand.strides[operand.rank - 1];
  std::copy_n(operand.strides.begin(), operand.rank - 2, batch.begin());
}

Problem describe(const StepSpec& spec) {
  check_operands(spec);
  Problem p{.q = spec.inputs[0], .k = spec.inputs[1], .v = spec.inputs[2], .mask = spec.outputs[0], .y = spec.outputs[0]};
  p.has_mask = spec.attrs->flag("has_mask", false);
  if (p.has_mask) p.mask = spec.inputs[3];
  AttentionLayout& g = p.layout;
  const int row = p.q.rank - 2, column = p.q.rank - 1;
  g.queries = p.q.sizes[row];
  g.keys = p.k.sizes[row];
  g.width = p.q.sizes[column];
  g.value_width = p.v.sizes[column];
  g.scale = spec.attrs->real("scale");
  g.causal = spec.attrs->flag("causal", false) ? 1 : 0;
  set_strides(p.q, g.q_row, g.q_column, g.q_batch);
  set_strides(p.k, g.k_row, g.k_column, g.k_batch);
  set_strides(p.v, g.v_row, g.v_column, g.v_batch);
  set_strides(p.mask, g.mask_row, g.mask_column, g.mask_batch);
  set_strides(p.y, g.y_row, g.y_column, g.y_batch);
  g.batch_rank = p.q.rank - 2;
  for (int d = 0; d < g.batch_rank; ++d) g.batches *= g.batch_sizes[static_cast<std::size_t>(d)] = p.y.sizes[d];
  return p;
}

/// Rows of this operand can be loaded 16 bytes at a time.
bool has_vectors(const OperandRef& operand) {
  constexpr std::int64_t kVector = 8;
  if (operand.strides[operand.rank - 1] != 1 || operand.offset % kVector != 0) return false;
  for (int d = 0; d < operand.rank - 1; ++d) {
    if (operand.sizes[d] > 1 && operand.strides[d] % kVector != 0) return false;
  }
  return true;
}

/// How a block is cut: text/attention_mma.cuh.
struct Tile {
  int warps_m, warps_k, keys;
};
// Many queries a block, or, where that leaves multiprocessors idle, few queries and the keys shared among warps.
constexpr std::array kTiles = {Tile{4, 1, 64}, Tile{2, 2, 32}, Tile{1, 4, 32}};

struct Widths {
  int key, value;
};

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// Padded for the matrix instructions; none: too wide for a thread's registers.
std::optional<Widths> padded_widths(const AttentionLayout& g) {
  constexpr std::int64_t kWidest = 256;
  if (g.width > kWidest || g.value_width > kWidest) return std::nullopt;
  return Widths{static_cast<int>(round_up(std::max<std::int64_t>(g.width, 1), 16)), static_cast<int>(round_up(g.value_width, 16))};
}

unsigned shared_bytes(const Tile& t, const Widths& w) {
  const int queries = 16 * t.warps_m, keys = t.warps_k * t.keys;
  const int tiles = 2 * (queries * (w.key + 8) + 2 * keys * (w.key + 8 + w.value + 8)), results = 4 * t.warps_k * queries * (w.value + 8);
  return static_cast<unsigned>(std::max(tiles, results));
}

Tile choose_tile(const Gpu& gpu, const AttentionLayout& g, const Widths& w) {
  std::size_t at = 0;
  const auto blocks = [&](const Tile& t) { return g.batches * ((g.queries + 16 * t.warps_m - 1) / (16 * t.warps_m)); };
  while (at + 1 < kTiles.size() && blocks(kTiles[at]) < gpu.info().multiprocessors) ++at;
  Tile tile = kTiles[at];
  while (tile.keys > 16 && shared_bytes(tile, w) > gpu.info().max_shared_bytes) tile.keys /= 2;
  return tile;
}

std::string mask_type(const Problem& p) { return p.has_mask ? type_name(p.mask.dtype) : "bool"; }
const char* masked(const Problem& p) { return p.has_mask ? "true" : "false"; }

StepPtr make(const Gpu& gpu, Problem problem, unsigned threads, unsigned shared, Kernel kernel) {
  const AttentionLayout& g = problem.layout;
  const LaunchShape shape{
      .grid = {blocks_for(g.query_tiles * g.value_tiles * g.batches, 1)}, .block = {threads}, .shared_bytes = shared, .programmatic = starts_early(gpu)};
  return make_step(0, [p = std::move(problem), shape, kernel = std::move(kernel)](Operations& operations, int) {
    Arguments arguments;
    arguments.value(p.layout).in(p.q).in(p.k).in(p.v);
    if (p.has_mask)
      arguments.in(p.mask);
    else
      arguments.fixed(nullptr);
    launch(operations, kernel, shape, std::move(arguments.out(p.y)));
  });
}

StepPtr make_on_tensor_cores(Gpu& gpu, Problem p, const Widths& w) {
  const Tile t = choose_tile(gpu, p.layout, w);
  p.layout.query_tiles = (p.layout.queries + 16 * t.warps_m - 1) / (16 * t.warps_m);
  const int load = has_vectors(p.q) && has_vectors(p.k) && has_vectors(p.v) ? 0 : 2;  // kVectorsOfDepth, kElementsAlongDepth
  Kernel kernel = gpu.programs().request({.text = "#include \"attention_mma.cuh\"\n",
                                          .entry = fmt::format("attention_mma<{}, {}, {}, {}, {}, {}, {}, {}, {}>", type_name(p.y.dtype), w.key, w.value,
                                                               t.warps_m, t.warps_k, t.keys, load, masked(p), mask_type(p))});
  return make(gpu, std::move(p), static_cast<unsigned>(32 * t.warps_m * t.warps_k), shared_bytes(t, w), std::move(kernel));
}

StepPtr make_with_arithmetic(Gpu& gpu, Problem p) {
  constexpr std::int64_t kQueries = 16, kValues = 64;
  constexpr unsigned kThreads = 128;
  p.layout.query_tiles = (p.layout.queries + kQueries - 1) / kQueries;
  p.layout.value_tiles = (p.layout.value_width + kValues - 1) / kValues;
  const char* sum = p.y.dtype == DType::f64 ? "double" : "float";
  Kernel kernel = gpu.programs().request(
      {.text = "#include \"attention_fma.cuh\"\n", .entry = fmt::format("attention_fma<{}, {}, {}, {}>", type_name(p.y.dtype), sum, masked(p), mask_type(p))});
  return make(gpu, std::move(p), kThreads, 0, std::move(kernel));
}

}  // namespace

StepPtr make_attention(Gpu& gpu, const StepSpec& spec) {
  Problem problem = describe(spec);
  if (problem.y.numel() == 0) return make_empty_step();
  const bool half = problem.y.dtype == DType::f16 || problem.y.dtype == DType::bf16;
  if (const auto widths = padded_widths(problem.layout); half && widths) return make_on_tensor_cores(gpu, std::move(problem), *widths);
  return make_with_arithmetic(gpu, std::move(problem));
}

}  // namespace reprise::kernels::cuda
