#include "kernels/cuda/conv_direct.h"

#include <fmt/format.h>

namespace reprise::kernels::cuda {
namespace {

constexpr std::int64_t kVectorBytes = 16, kMaxTaps = 49;

/// Depthwise in at most two dimensions, channels last, everything aligned for vectors of `n` channels.
bool has_channel_vectors(const Contraction& c, std::int64_t n) {
  const GemmLayout& g = c.layout;
  const bool real = c.y.dtype == DType::f16 || c.y.dtype == DType::bf16 || c.y.dtype == DType::f32;
  if (!real || c.convolution != Convolution::forward || g.columns != 1 || g.depth_sizes[0] != 1 || g.depth_sizes[1] != 1 || g.row_sizes[1] != 1 ||
      g.depth > kMaxTaps)
    return false;
  bool aligned = g.a_batch[0] == 1 && g.y_batch[0] == 1 && g.batches % n == 0 && c.a.offset % n == 0 && c.y.offset % n == 0;
  for (std::size_t d = 0; d < 4; ++d) aligned = aligned && (g.row_sizes[d] == 1 || g.y_row[d] % n == 0);
  return aligned && (g.row_sizes[0] == 1 || g.a_row[0] % n == 0) && (g.in[1] == 1 || g.in_strides[1] % n == 0) && (g.in[2] == 1 || g.in_strides[2] % n == 0);
}

bool has_weight_vectors(const Contraction& c, std::int64_t n) {
  const GemmLayout& g = c.layout;
  return g.b_batch[0] == 1 && c.b.offset % n == 0 && (g.depth_sizes[2] == 1 || g.b_depth[2] % n == 0) && (g.depth_sizes[3] == 1 || g.b_depth[3] % n == 0);
}

StepPtr make(const Contraction& contraction, const Finish& finish, LaunchShape shape, Kernel kernel) {
  return make_step(0, [contraction, finish, shape, kernel = std::move(kernel)](Operations& operations, int) {
    Arguments arguments;
    arguments.value(contraction.layout).in(contraction.a).in(contraction.b);
    if (contraction.has_bias)
      arguments.in(contraction.bias);
    else
      arguments.fixed(nullptr);
    arguments.out(contraction.y);
    for (const OperandRef& operand : finish.operands) arguments.in(operand);
    if (finish.operands.empty()) arguments.fixed(nullptr);
    launch(operations, kernel, shape, std::move(arguments));
  });
}

/// How much of the output a thread computes.
struct Share {
  std::int64_t channels = 0;  // 0: not by vectors
  int pixels = 1;
};

// The more a thread has, the fewer times inputs and weights are loaded; little, where that would leave multiprocessors idle.
Share choose_share(const Gpu& gpu, const Contraction& c) {
  const std::int64_t items = c.layout.rows * c.layout.batches, enough = std::int64_t{gpu.info().multiprocessors} * 512;
  Share share;
  for (std::int64_t n = kVectorBytes / static_cast<std::int64_t>(item_size(c.y.dtype)); n >= 2 && (share.channels == 0 || items / share.channels < enough);
       n /= 2) {
    if (has_channel_vectors(c, n)) share.channels = n;
  }
  if (share.channels == 0) return share;
  const std::int64_t threads = items / share.channels;
  share.pixels = threads >= 4 * enough ? 4 : threads >= 2 * enough ? 2 : 1;
  return share;
}

StepPtr make_depthwise(Gpu& gpu, const Contraction& c, const Finish& finish, const Share& share) {
  constexpr unsigned kThreads = 128;
  const GemmLayout& g = c.layout;
  const std::int64_t threads = g.row_sizes[0] * g.row_sizes[2] * ((g.row_sizes[3] + share.pixels - 1) / share.pixels) * (g.batches / share.channels);
  Kernel kernel =
      gpu.programs().request({.text = "#include \"conv_direct.cuh\"\n" + finish.text,
                              .entry = fmt::format("conv_depthwise<{}, {}, {}, {}, {}, {}, {}>", type_name(c.y.dtype), share.channels, g.depth_sizes[2],
                                                   g.depth_sizes[3], share.pixels, has_weight_vectors(c, share.channels), finish.name)});
  return make(c, finish, {.grid = {blocks_for(threads, kThreads)}, .block = {kThreads}, .programmatic = starts_early(gpu)}, std::move(kernel));
}

}  // namespace

bool has_thin_groups(const Contraction& contraction) {
  constexpr std::int64_t kThin = 8;
  return contraction.layout.batches > 1 && contraction.layout.columns <= kThin;
}

StepPtr make_direct_conv(Gpu& gpu, const Contraction& c, const Finish& finish) {
  if (const Share share = choose_share(gpu, c); share.channels > 0) return make_depthwise(gpu, c, finish, share);
  constexpr unsigned kThreads = 256;
  const GemmLayout& g = c.layout;
  const bool channels_last = g.batches > 1 ? g.y_batch[0] == g.columns * g.y_column && (g.columns > 1 ? g.y_column : g.y_batch[0]) == 1 : g.y_column == 1;
  Kernel kernel = gpu.programs().request({.text = "#include \"conv_direct.cuh\"\n" + finish.text,
                                          .entry = fmt::format("conv_direct<{}, {}, {}, {}, {}>", arithmetic_type(c.y.dtype), sum_type(c.y.dtype),
                                                               static_cast<int>(c.convolution), channels_last, finish.name)});
  return make(c, finish, {.grid = {blocks_for(g.rows * g.batches * g.columns, kThreads)}, .block = {kThreads}, .programmatic = starts_early(gpu)},
              std::move(kernel));
}

}  // namespace reprise::kernels::cuda
