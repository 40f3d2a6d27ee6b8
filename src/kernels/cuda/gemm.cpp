#include "kernels/cuda/gemm.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/integers.h"

namespace reprise::kernels::cuda {
namespace {

using base::ceil_div;

// As in the texts.
enum Load { kVectorsOfDepth, kVectorsOfLanes, kElementsAlongDepth, kElementsAlongLanes };
enum Store { kRowVectors, kRowElements, kColumnElements, kParts };
constexpr std::int64_t kVector = 8;  // 16-bit elements in 16 bytes
constexpr int kDepthEntryBytes = 32, kRowEntryBytes = 40, kFmaDepth = 16;

struct Tile {
  int rows, columns, depth;
  int warps_m, warps_n, stages;  // tensor cores
};
// By falling size. Ordinary arithmetic uses rows and columns alone.
constexpr Tile kMmaTiles[] = {{128, 128, 32, 2, 4, 4}, {64, 64, 64, 2, 2, 3}, {32, 64, 64, 2, 2, 4}, {32, 32, 64, 2, 2, 4}};
constexpr Tile kFmaTiles[] = {{128, 128, kFmaDepth, 0, 0, 0}, {64, 64, kFmaDepth, 0, 0, 0}, {32, 32, kFmaDepth, 0, 0, 0}};
// Larger than this, a thread's block of wide sums does not fit registers.
constexpr std::size_t kWideSum = 8;

bool on_tensor_cores(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }
std::span<const Tile> tiles_for(DType dtype) {
  if (on_tensor_cores(dtype)) return kMmaTiles;
  return std::span<const Tile>(kFmaTiles).subspan(item_size(dtype) == kWideSum ? 1 : 0);
}

/// All of the strides that are used (their dimension has more than one element) are multiples of a vector.
bool all_multiples(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides, int count, int except = -1) {
  for (int d = 0; d < count; ++d) {
    if (d != except && sizes[static_cast<std::size_t>(d)] > 1 && strides[static_cast<std::size_t>(d)] % kVector != 0) return false;
  }
  return true;
}

/// The last of several dimensions holds whole vectors; a single one may end with part of one.
bool whole_vectors(std::span<const std::int64_t> sizes, int count) { return count == 1 || sizes[static_cast<std::size_t>(count - 1)] % kVector == 0; }

Load load_of_a(const Contraction& c) {
  const GemmLayout& g = c.layout;
  const auto depth = static_cast<std::size_t>(g.depth_rank - 1), row = static_cast<std::size_t>(g.row_rank - 1);
  bool aligned = c.a.offset % kVector == 0 && g.a_origin % kVector == 0 && all_multiples(g.batch_sizes, g.a_batch, g.batch_rank);
  if (c.convolution == Convolution::transposed) aligned = aligned && all_multiples({{2, 2, 2}}, g.in_strides, 3);
  if (aligned && g.a_depth[depth] == 1 && whole_vectors(g.depth_sizes, g.depth_rank) && all_multiples(g.depth_sizes, g.a_depth, g.depth_rank - 1) &&
      all_multiples(g.row_sizes, g.a_row, g.row_rank)) {
    return kVectorsOfDepth;
  }
  if (aligned && c.convolution == Convolution::none && g.a_row[row] == 1 && whole_vectors(g.row_sizes, g.row_rank) &&
      all_multiples(g.row_sizes, g.a_row, g.row_rank - 1) && all_multiples(g.depth_sizes, g.a_depth, g.depth_rank)) {
    return kVectorsOfLanes;
  }
  return g.a_depth[depth] == 1 && g.depth > 1 ? kElementsAlongDepth : kElementsAlongLanes;
}

Load load_of_b(const Contraction& c) {
  const GemmLayout& g = c.layout;
  const auto depth = static_cast<std::size_t>(g.depth_rank - 1);
  const bool aligned = c.b.offset % kVector == 0 && all_multiples(g.batch_sizes, g.b_batch, g.batch_rank);
  if (aligned && g.b_depth[depth] == 1 && whole_vectors(g.depth_sizes, g.depth_rank) && all_multiples(g.depth_sizes, g.b_depth, g.depth_rank - 1) &&
      (g.columns == 1 || g.b_column % kVector == 0)) {
    return kVectorsOfDepth;
  }
  if (aligned && g.b_column == 1 && all_multiples(g.depth_sizes, g.b_depth, g.depth_rank)) return kVectorsOfLanes;
  return g.b_column == 1 && g.columns > 1 ? kElementsAlongLanes : kElementsAlongDepth;
}

Store store_of_y(const Contraction& c) {
  const GemmLayout& g = c.layout;
  const bool aligned = c.y.offset % kVector == 0 && g.columns % kVector == 0 && all_multiples(g.row_sizes, g.y_row, g.row_rank) &&
                       all_multiples(g.batch_sizes, g.y_batch, g.batch_rank);
  if (g.y_column == 1 && aligned) return kRowVectors;
  return g.y_column == 1 || g.rows == 1 || g.y_row[static_cast<std::size_t>(g.row_rank - 1)] != 1 ? kRowElements : kColumnElements;
}

int pitch_items(Load load, int lanes, int depth) {
  const bool lane_major = load == kVectorsOfLanes || load == kElementsAlongLanes;
  return lane_major ? depth * (lanes + 8) : lanes * (depth + 8);
}

unsigned shared_bytes(const Tile& t, Load a, Load b, Store store) {
  const int tiles = t.stages * (pitch_items(a, t.rows, t.depth) + pitch_items(b, t.columns, t.depth)) * 2;
  const int result = t.rows * (t.columns + (store == kColumnElements ? 1 : 8)) * 4;
  return static_cast<unsigned>(std::max(tiles, result) + t.stages * t.depth * kDepthEntryBytes + t.rows * kRowEntryBytes);
}

std::size_t sum_bytes(DType dtype) { return item_size(dtype) == kWideSum ? kWideSum : 4; }

const char* flag(bool value) { return value ? "true" : "false"; }

device::cuda::ProgramSource mma_source(const Contraction& c, const Tile& t, Store store, const Finish& finish) {
  return {.text = "#include \"gemm_mma.cuh\"\n" + finish.text,
          .entry = fmt::format("gemm_mma<{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}>", type_name(c.y.dtype), t.rows, t.columns, t.depth, t.warps_m,
                               t.warps_n, t.stages, static_cast<int>(load_of_a(c)), static_cast<int>(load_of_b(c)), static_cast<int>(c.convolution),
                               static_cast<int>(store), finish.name)};
}

int thread_block(const Tile& t) { return t.rows / 16; }  // rows and columns of a thread: 16 × 16 threads

device::cuda::ProgramSource fma_source(const Contraction& c, const Tile& t, bool parts, const Finish& finish) {
  return {
      .text = "#include \"gemm_fma.cuh\"\n" + finish.text,
      .entry = fmt::format("gemm_fma<{}, {}, {}, {}, {}, {}, {}, {}, {}, {}>", arithmetic_type(c.y.dtype), t.rows, t.columns, thread_block(t), thread_block(t),
                           static_cast<int>(c.convolution), flag(load_of_a(c) % 2 == 0), flag(load_of_b(c) % 2 == 0), flag(parts), finish.name)};
}

device::cuda::ProgramSource reduce_source(const Contraction& c, const Finish& finish) {
  return {.text = "#include \"gemm_reduce.cuh\"\n" + finish.text,
          .entry = fmt::format("gemm_reduce<{}, {}, {}>", arithmetic_type(c.y.dtype), sum_type(c.y.dtype), finish.name)};
}

struct Plan {
  Contraction contraction;
  Finish finish;
  LaunchShape shape = {};
  Kernel kernel = {}, reduce = {};  // reduce: only with several splits
  std::size_t parts_bytes = 0;

  void describe(Operations& operations, int scratch_slot) const {
    const bool split = parts_bytes > 0;
    const Access parts{scratch_slot, 0, static_cast<std::int64_t>(parts_bytes), true};
    Arguments product;
    product.value(contraction.layout).in(contraction.a).in(contraction.b);
    add_bias(product, !split);
    if (split) {
      product.fixed(nullptr).pointer({scratch_slot, 0}, parts).fixed(nullptr);
    } else {
      product.out(contraction.y).fixed(nullptr);
      add_finish(product);
    }
    launch(operations, kernel, shape, std::move(product));
    if (!split) return;
    Arguments sum;
    sum.value(contraction.layout);
    add_bias(sum, true);
    sum.out(contraction.y).pointer({scratch_slot, 0}, {parts.slot, parts.begin, parts.end, false});
    add_finish(sum);
    const GemmLayout& g = contraction.layout;
    launch(operations, reduce, {.grid = {blocks_for(g.batches * g.rows * g.columns, 256)}, .block = {256}, .programmatic = shape.programmatic}, std::move(sum));
  }

 private:
  void add_bias(Arguments& arguments, bool wanted) const {
    if (contraction.has_bias && wanted)
      arguments.in(contraction.bias);
    else
      arguments.fixed(nullptr);
  }
  void add_finish(Arguments& arguments) const {
    for (const OperandRef& operand : finish.operands) arguments.in(operand);
    if (finish.operands.empty()) arguments.fixed(nullptr);
  }
};

void set_tiles(GemmLayout& g, const Tile& t, int splits) {
  g.row_tiles = ceil_div(g.rows, t.rows);
  g.column_tiles = ceil_div(g.columns, t.columns);
  const std::int64_t steps = std::max<std::int64_t>(1, ceil_div(g.depth, t.depth));
  g.split_depth = ceil_div(steps, splits) * t.depth;
  g.splits = std::max<std::int64_t>(1, ceil_div(g.depth, g.split_depth));
}

std::int64_t blocks_of(const GemmLayout& g, const Tile& t) { return ceil_div(g.rows, t.rows) * ceil_div(g.columns, t.columns) * g.batches; }

// As many as fill the GPU, each with depth enough to pay for the second kernel.
int splits_for(const Gpu& gpu, const Contraction& c, const Tile& t) {
  constexpr std::int64_t kMaxSplits = 16, kMinDepth = 256;
  const std::int64_t wanted = gpu.info().multiprocessors / std::max<std::int64_t>(1, blocks_of(c.layout, t));
  return static_cast<int>(std::clamp<std::int64_t>(std::min(wanted, c.layout.depth / kMinDepth), 1, kMaxSplits));
}

}  // namespace

std::string arithmetic_type(DType dtype) {
  if (is_floating(dtype) || dtype == DType::boolean) return type_name(dtype);
  return fmt::format("u{}_t", item_size(dtype) * 8);
}

std::string sum_type(DType dtype) {
  if (dtype == DType::f64) return "f64_t";
  if (is_floating(dtype)) return "f32_t";
  return item_size(dtype) == kWideSum ? "u64_t" : "u32_t";
}

GemmChoice choose_gemm(const Gpu& gpu, const Contraction& contraction) {
  const std::span<const Tile> tiles = tiles_for(contraction.y.dtype);
  int tile = 0;
  while (tile + 1 < static_cast<int>(tiles.size()) && blocks_of(contraction.layout, tiles[static_cast<std::size_t>(tile)]) < gpu.info().multiprocessors) ++tile;
  return {tile, splits_for(gpu, contraction, tiles[static_cast<std::size_t>(tile)])};
}

std::vector<GemmChoice> gemm_choices(const Gpu& gpu, const Contraction& contraction) {
  std::vector<GemmChoice> choices{choose_gemm(gpu, contraction)};
  const std::span<const Tile> tiles = tiles_for(contraction.y.dtype);
  for (int tile = 0; tile < static_cast<int>(tiles.size()); ++tile) {
    const int most = splits_for(gpu, contraction, tiles[static_cast<std::size_t>(tile)]);
    for (const int splits : {1, (most + 1) / 2, most}) {
      const GemmChoice choice{tile, splits};
      if (std::find(choices.begin(), choices.end(), choice) == choices.end()) choices.push_back(choice);
    }
  }
  return choices;
}

bool is_gemm_choice(const Contraction& contraction, const GemmChoice& choice) {
  constexpr int kMostSplits = 64;
  return choice.tile >= 0 && choice.tile < static_cast<int>(tiles_for(contraction.y.dtype).size()) && choice.splits >= 1 && choice.splits <= kMostSplits;
}

StepPtr make_gemm(Gpu& gpu, const Contraction& contraction, const GemmChoice& choice, const Finish& finish) {
  const Tile& tile = tiles_for(contraction.y.dtype)[static_cast<std::size_t>(choice.tile)];
  Plan plan{.contraction = contraction, .finish = finish};
  GemmLayout& g = plan.contraction.layout;
  set_tiles(g, tile, choice.splits);
  const bool split = g.splits > 1, tensor_cores = on_tensor_cores(contraction.y.dtype);
  const std::int64_t blocks = g.row_tiles * g.column_tiles * g.splits * g.batches;
  const unsigned threads = static_cast<unsigned>(tensor_cores ? tile.warps_m * tile.warps_n * 32 : 256);
  plan.shape = {.grid = {blocks_for(blocks, 1)}, .block = {threads}, .programmatic = starts_early(gpu)};
  const Finish none;
  if (tensor_cores) {
    const Store store = split ? kParts : store_of_y(contraction);
    plan.shape.shared_bytes = shared_bytes(tile, load_of_a(contraction), load_of_b(contraction), store);
    plan.kernel = gpu.programs().request(mma_source(contraction, tile, store, split ? none : finish));
  } else {
    plan.kernel = gpu.programs().request(fma_source(contraction, tile, split, split ? none : finish));
  }
  if (split) {
    plan.parts_bytes = static_cast<std::size_t>(g.splits * g.batches * g.rows * g.columns) * sum_bytes(contraction.y.dtype);
    plan.reduce = gpu.programs().request(reduce_source(contraction, finish));
  }
  const std::size_t scratch = plan.parts_bytes;
  return make_step(scratch, [plan = std::move(plan)](Operations& operations, int scratch_slot) { plan.describe(operations, scratch_slot); });
}

}  // namespace reprise::kernels::cuda
