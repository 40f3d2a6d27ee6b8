#include "kernels/cuda/gemm_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/integers.h"

namespace reprise::kernels::cuda {
namespace {

using base::ceil_div;

/// struct ClusterGemm of text/gemm_cluster.cuh.
struct ClusterLayout {
  std::int64_t a_batch = 0, b_batch = 0, y_batch = 0, bias_batch = 0;
  std::int32_t rows = 1, columns = 1, depth = 1, splits = 1;
  std::int32_t a_image = 0, a_line = 0, a_pixel = 0, y_image = 0, y_line = 0, y_pixel = 0;
  std::int32_t out_lines = 1, out_pixels = 1, in_lines = 1, in_pixels = 1;
  std::int32_t stride_lines = 1, stride_pixels = 1, padding_lines = 0, padding_pixels = 0, dilation_lines = 1, dilation_pixels = 1;
  std::int32_t kernel_lines = 1, kernel_pixels = 1, channels = 1;
  std::int32_t b_lane = 0, bias_column = 0, constant_b = 0, dense_y = 1;
};

struct Tile {
  bool grouped;  // by matrix instructions of warp groups
  int rows, columns, depth;
  int warps_m, warps_n, warps_k, stages;
  [[nodiscard]] int threads() const { return warps_m * warps_n * warps_k * 32; }
};
// Choices are stored by their index: new ones go to the end.
constexpr std::array kTiles = {
    Tile{false, 128, 128, 64, 4, 2, 1, 4}, Tile{false, 128, 64, 64, 4, 2, 1, 4}, Tile{false, 64, 128, 64, 2, 4, 1, 4}, Tile{false, 64, 64, 64, 2, 2, 1, 5},
    Tile{false, 32, 64, 64, 2, 2, 1, 6},   Tile{false, 64, 32, 64, 2, 2, 1, 6},  Tile{false, 32, 32, 64, 2, 2, 1, 8},  Tile{false, 16, 64, 64, 1, 4, 2, 8},
    Tile{false, 16, 32, 64, 1, 2, 4, 8},   Tile{false, 32, 32, 128, 2, 2, 2, 5}, Tile{false, 16, 64, 128, 1, 4, 2, 5}, Tile{true, 64, 32, 64, 4, 1, 1, 8},
    Tile{true, 64, 32, 64, 4, 1, 2, 8},    Tile{true, 64, 64, 64, 4, 1, 1, 6},   Tile{true, 64, 64, 64, 4, 1, 2, 6},   Tile{true, 64, 128, 64, 4, 1, 1, 4},
    Tile{true, 64, 128, 64, 4, 1, 2, 5},   Tile{true, 128, 64, 64, 8, 1, 1, 4},  Tile{true, 128, 128, 64, 8, 1, 1, 4}};
constexpr std::array kSplits = {1, 2, 4, 8};
// As in the text.
enum Walk { kFlat, kTaps, kChannels };
constexpr std::int64_t kVector = 8;  // elements in 16 bytes
constexpr std::int64_t kMostTaps = 16;

bool is_lane_major(const Contraction& c) { return c.layout.b_depth[static_cast<std::size_t>(c.layout.depth_rank - 1)] != 1; }

unsigned shared_bytes(const Tile& t, bool lane_major) {
  const int pitch = t.depth + (t.grouped ? 0 : 8), b = lane_major ? t.depth * (t.columns + 8) : t.columns * pitch;
  return static_cast<unsigned>(std::max(t.stages * (t.rows * pitch + b) * 2, std::max(1, t.warps_k - 1) * t.rows * (t.columns + 4) * 4));
}

/// Elements that are loaded at a time: 8, 4 for few channels; 0: the layout does not allow either.
int vector_width(const Contraction& c) {
  const GemmLayout& g = c.layout;
  const auto last = static_cast<std::size_t>(g.depth_rank - 1);
  for (const std::int64_t width : {kVector, kVector / 2}) {
    const auto fits = [&](std::int64_t n) { return n % width == 0; };
    bool all =
        fits(c.a.offset) && fits(c.b.offset) && fits(g.a_origin) && fits(g.depth_sizes[last]) && (g.batches == 1 || (fits(g.a_batch[0]) && fits(g.b_batch[0])));
    for (std::size_t d = 0; d < static_cast<std::size_t>(g.row_rank); ++d) all = all && (g.row_sizes[d] == 1 || fits(g.a_row[d]));
    for (std::size_t d = 0; d < last; ++d) all = all && (g.depth_sizes[d] == 1 || fits(g.a_depth[d]));
    if (!is_lane_major(c)) all = all && (g.columns == 1 || fits(g.b_column));
    if (all) return static_cast<int>(width);
  }
  return 0;
}

/// b is read row by row along the whole depth, or its columns are contiguous.
bool has_plain_b(const Contraction& c) {
  const GemmLayout& g = c.layout;
  if (is_lane_major(c))
    return g.depth_rank == 1 && g.b_column == 1 && g.columns % kVector == 0 && g.b_depth[0] % kVector == 0 && c.b.offset % kVector == 0 &&
           (g.batches == 1 || g.b_batch[0] % kVector == 0);
  std::int64_t step = 1;
  for (std::size_t d = static_cast<std::size_t>(g.depth_rank); d-- > 0; step *= g.depth_sizes[d]) {
    if (g.depth_sizes[d] > 1 && g.b_depth[d] != step) return false;
  }
  return true;
}

/// Rows of y begin at, and consist of, whole vectors that are stored at once.
bool has_aligned_y(const Contraction& c) {
  constexpr std::int64_t kStored = 4;
  const GemmLayout& g = c.layout;
  bool aligned = g.columns % kStored == 0 && c.y.offset % kStored == 0 && (g.batches == 1 || g.y_batch[0] % kStored == 0);
  for (std::size_t d = 0; d < static_cast<std::size_t>(g.row_rank); ++d) aligned = aligned && (g.row_sizes[d] == 1 || g.y_row[d] % kStored == 0);
  return aligned;
}

bool has_small_offsets(const OperandRef& operand) {
  return access(operand, false).end / static_cast<std::int64_t>(item_size(operand.dtype)) < std::numeric_limits<std::int32_t>::max() / 2;
}

bool has_plain_rows(const Contraction& c) {
  const GemmLayout& g = c.layout;
  const bool bias_by_row = c.has_bias && std::any_of(g.bias_row.begin(), g.bias_row.end(), [](std::int64_t s) { return s != 0; });
  if (g.batch_rank > 1 || bias_by_row) return false;
  if (c.convolution == Convolution::none) return g.row_rank == 1 && g.depth_rank == 1;
  // Images of lines of pixels, channels innermost.
  return c.convolution == Convolution::forward && g.first_tap == 0 && g.row_sizes[1] == 1 && g.depth_sizes[0] == 1 && g.a_depth[3] == 1 &&
         g.depth_sizes[1] <= kMostTaps && g.depth_sizes[2] <= kMostTaps;
}

std::int32_t small(std::int64_t n) { return static_cast<std::int32_t>(n); }

ClusterLayout layout_of(const Contraction& c, int splits, bool constant_b) {
  const GemmLayout& g = c.layout;
  ClusterLayout l{.rows = small(g.rows), .columns = small(g.columns), .depth = small(g.depth), .splits = splits};
  l.a_batch = g.a_batch[0];
  l.b_batch = g.b_batch[0];
  l.y_batch = g.y_batch[0];
  l.bias_batch = g.bias_batch[0];
  l.b_lane = small(is_lane_major(c) ? g.b_depth[0] : g.b_column);
  l.bias_column = small(g.bias_column);
  l.constant_b = constant_b ? 1 : 0;
  if (c.convolution == Convolution::none) {
    l.a_pixel = small(g.a_row[0]);
    l.y_pixel = small(g.y_row[0]);
    return l;
  }
  l.a_image = small(g.a_row[0]);
  l.a_line = small(g.in_strides[1]);
  l.a_pixel = small(g.in_strides[2]);
  l.y_image = small(g.y_row[0]);
  l.y_line = small(g.y_row[2]);
  l.y_pixel = small(g.y_row[3]);
  l.out_lines = small(g.row_sizes[2]);
  l.out_pixels = small(g.row_sizes[3]);
  l.in_lines = g.in[1];
  l.in_pixels = g.in[2];
  l.stride_lines = g.stride[1];
  l.stride_pixels = g.stride[2];
  l.padding_lines = g.padding[1];
  l.padding_pixels = g.padding[2];
  l.dilation_lines = g.dilation[1];
  l.dilation_pixels = g.dilation[2];
  l.dense_y = l.y_line == l.y_pixel * l.out_pixels && (g.row_sizes[0] == 1 || l.y_image == l.y_line * l.out_lines) ? 1 : 0;
  l.kernel_lines = small(g.depth_sizes[1]);
  l.kernel_pixels = small(g.depth_sizes[2]);
  l.channels = small(g.depth_sizes[3]);
  return l;
}

Walk walk_of(const Contraction& c, const Tile& t) {
  if (c.convolution == Convolution::none) return kFlat;
  return c.layout.depth_sizes[3] % t.depth == 0 ? kChannels : kTaps;
}

/// Microseconds, roughly: what a multiprocessor loads and multiplies for all of its blocks, and what every block takes anyway.
double estimate(const Gpu& gpu, const Contraction& c, const ClusterChoice& choice) {
  constexpr double kStart = 1.2, kCluster = 0.8, kBytesPerMicrosecond = 70e3, kProductsPerMicrosecond = 1.5e6, kGrouped = 0.6;
  const GemmLayout& g = c.layout;
  const Tile& t = kTiles[static_cast<std::size_t>(choice.tile)];
  const std::int64_t blocks = ceil_div(g.rows, t.rows) * ceil_div(g.columns, t.columns) * g.batches * choice.splits;
  const double steps = static_cast<double>(ceil_div(ceil_div(g.depth, t.depth), choice.splits));
  const double load = (t.rows + t.columns) * t.depth * 2 / kBytesPerMicrosecond, product = t.rows * t.columns * t.depth / kProductsPerMicrosecond;
  const double each = static_cast<double>(ceil_div(blocks, gpu.info().multiprocessors)) * std::max(load, product) * (t.grouped ? kGrouped : 1);
  return kStart + steps * each + (choice.splits > 1 ? kCluster : 0);
}

}  // namespace

bool cluster_gemm_takes(const Gpu& gpu, const Contraction& c) {
  constexpr int kFirstWithClusters = 9;
  constexpr std::int64_t kMostTiles = 65535;
  const GemmLayout& g = c.layout;
  if (gpu.info().major < kFirstWithClusters || (c.y.dtype != DType::f16 && c.y.dtype != DType::bf16) || g.depth == 0) return false;
  if (g.columns > kMostTiles * kTiles.back().columns || g.batches > kMostTiles) return false;
  return has_plain_rows(c) && has_plain_b(c) && g.y_column == 1 && has_small_offsets(c.a) && has_small_offsets(c.b) && has_small_offsets(c.y) &&
         vector_width(c) > 0;
}

bool is_cluster_choice(const Gpu& gpu, const Contraction& c, const ClusterChoice& choice) {
  if (choice.tile < 0 || choice.tile >= static_cast<int>(kTiles.size()) || std::find(kSplits.begin(), kSplits.end(), choice.splits) == kSplits.end())
    return false;
  constexpr int kHopper = 9;
  const Tile& t = kTiles[static_cast<std::size_t>(choice.tile)];
  if (t.grouped && (gpu.info().major != kHopper || is_lane_major(c))) return false;
  return shared_bytes(t, is_lane_major(c)) <= gpu.info().max_shared_bytes && t.rows >= choice.splits;
}

std::vector<ClusterChoice> cluster_choices(const Gpu& gpu, const Contraction& c, int most) {
  std::vector<ClusterChoice> choices;
  for (int tile = 0; tile < static_cast<int>(kTiles.size()); ++tile) {
    for (const int splits : kSplits) {
      const ClusterChoice choice{tile, splits};
      const bool deep_enough = splits == 1 || ceil_div(c.layout.depth, kTiles[static_cast<std::size_t>(tile)].depth) >= splits;
      if (deep_enough && is_cluster_choice(gpu, c, choice)) choices.push_back(choice);
    }
  }
  std::stable_sort(choices.begin(), choices.end(), [&](const ClusterChoice& l, const ClusterChoice& r) { return estimate(gpu, c, l) < estimate(gpu, c, r); });
  choices.resize(std::min(choices.size(), static_cast<std::size_t>(std::max(most, 1))));
  return choices;
}

StepPtr make_cluster_gemm(Gpu& gpu, const Contraction& c, const ClusterChoice& choice, bool constant_b, const Finish& finish) {
  const Tile& t = kTiles[static_cast<std::size_t>(choice.tile)];
  const GemmLayout& g = c.layout;
  const bool lane_major = is_lane_major(c);
  Kernel kernel =
      gpu.programs().request({.text = "#include \"gemm_cluster.cuh\"\n" + finish.text,
                              .entry = fmt::format("gemm_cluster<{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}{}>", type_name(c.y.dtype), t.grouped,
                                                   t.rows, t.columns, t.depth, t.warps_m, t.warps_n, t.warps_k, t.stages, vector_width(c), lane_major,
                                                   static_cast<int>(walk_of(c, t)), finish.name, has_aligned_y(c) ? "" : ", false")});
  const auto splits = static_cast<unsigned>(choice.splits);
  const LaunchShape shape{
      .grid = {blocks_for(ceil_div(g.rows, t.rows) * splits, 1), blocks_for(g.columns, static_cast<unsigned>(t.columns)), static_cast<unsigned>(g.batches)},
      .block = {static_cast<unsigned>(t.threads())},
      .shared_bytes = shared_bytes(t, lane_major),
      .cluster = {splits},
      .programmatic = starts_early(gpu)};
  return make_step(0, [c, finish, shape, kernel = std::move(kernel), layout = layout_of(c, choice.splits, constant_b)](Operations& operations, int) {
    Arguments arguments;
    arguments.value(layout).in(c.a).in(c.b);
    if (c.has_bias)
      arguments.in(c.bias);
    else
      arguments.fixed(nullptr);
    arguments.out(c.y);
    for (const OperandRef& operand : finish.operands) arguments.in(operand);
    if (finish.operands.empty()) arguments.fixed(nullptr);
    launch(operations, kernel, shape, std::move(arguments));
  });
}

}  // namespace reprise::kernels::cuda
