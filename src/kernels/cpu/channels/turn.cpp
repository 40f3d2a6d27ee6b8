#include <algorithm>
#include <utility>

#include "core/scalar_program.h"
#include "kernels/cpu/activate.h"
#include "kernels/cpu/channels/channels.h"
#include "kernels/packed.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kMostChannels = 8, kChunk = 64;

struct Turn {
  OperandRef x, y;
  std::int64_t pixels = 0, channels = 0;  // of an image
};

/// Chunks [begin, end) of an image's pixels.
struct Job {
  const Turn* turn = nullptr;
  void* const* bindings = nullptr;
  std::int64_t image = 0, begin = 0, end = 0;
};

/// Vector J of the three that hold W pixels of three channels.
template <int J, class V, int... L>
REPRISE_INLINE V dealt(V a, V b, V c, std::integer_sequence<int, L...>) {
  constexpr int W = kWidth<V>;
  const V two = __builtin_shufflevector(a, b, ((J * W + L) / 3 + ((J * W + L) % 3 == 1 ? W : 0))...);
  return __builtin_shufflevector(two, c, ((J * W + L) % 3 == 2 ? W + (J * W + L) / 3 : L)...);
}

/// Vectors of pixels of three channels; how many pixels.
template <int W, class From, class To>
REPRISE_INLINE std::int64_t deal_three(const From* x, std::int64_t stride, std::int64_t count, To* y) {
  using V = Floats<W>;
  constexpr auto kLanes = std::make_integer_sequence<int, W>();
  std::int64_t done = 0;
  for (; done + W <= count; done += W, y += 3 * W) {
    const V a = load<V>(x + done), b = load<V>(x + stride + done), c = load<V>(x + 2 * stride + done);
    store(y, dealt<0>(a, b, c, kLanes));
    store(y + W, dealt<1>(a, b, c, kLanes));
    store(y + 2 * W, dealt<2>(a, b, c, kLanes));
  }
  return done;
}

/// A chunk of each channel at a time, converted by vectors and then dealt out.
template <int W, class From, class To>
REPRISE_INLINE void run_chunks(const Job& job) {
  using V = Floats<W>;
  const Turn& t = *job.turn;
  const std::int64_t n = t.channels;
  for (std::int64_t chunk = job.begin; chunk < job.end; ++chunk) {
    const std::int64_t first = chunk * kChunk, all = std::min(kChunk, t.pixels - first);
    const auto* x = reinterpret_cast<const From*>(t.x.at(job.bindings)) + job.image * n * t.pixels + first;
    auto* y = reinterpret_cast<To*>(t.y.at(job.bindings)) + (job.image * t.pixels + first) * n;
    const std::int64_t done = n == 3 ? deal_three<W>(x, t.pixels, all, y) : 0, count = all - done;
    To lines[kMostChannels][kChunk];
    for (std::int64_t c = 0; c < n; ++c) {
      for (std::int64_t i = 0; i < count; i += W) store(lines[c] + i, load_first<V>(x + c * t.pixels + done + i, std::min<std::int64_t>(W, count - i)));
    }
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t c = 0; c < n; ++c) y[(done + i) * n + c] = lines[c][i];
    }
  }
}

template <int W>
struct F32Loop {
  static void run(const Job& job) { run_chunks<W, float, float>(job); }
};
template <int W>
struct NarrowLoop {
  static void run(const Job& job) { run_chunks<W, float, BFloat16>(job); }
};
template <int W>
struct Bf16Loop {
  static void run(const Job& job) { run_chunks<W, BFloat16, BFloat16>(job); }
};

/// A copy, or one that rounds.
bool is_copy(const StepSpec& spec) {
  if (spec.op == core::Op::copy) return true;
  const core::ScalarProgram& program = spec.attrs->program("program");
  if (program.outputs.size() != 1) return false;
  auto at = static_cast<std::size_t>(program.outputs[0]);
  while (program.code[at].op == core::ScalarOp::cast) at = static_cast<std::size_t>(program.code[at].a);
  return program.code.size() <= 2 && program.code[at].op == core::ScalarOp::input;
}

}  // namespace

StepPtr make_channels_turn(const StepSpec& spec) {
  if (spec.inputs.size() != 1 || spec.outputs.size() != 1 || !is_copy(spec)) return nullptr;
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  if (x.rank < 3 || y.rank != x.rank || !std::ranges::equal(x.shape(), y.shape()) || y.numel() == 0) return nullptr;
  if (x.sizes[1] < 2 || x.sizes[1] > kMostChannels || !is_packed(x, false) || !is_packed(y, true)) return nullptr;
  const bool from_f32 = x.dtype == DType::f32, to_f32 = y.dtype == DType::f32;
  if ((!from_f32 && x.dtype != DType::bf16) || (!to_f32 && y.dtype != DType::bf16) || (to_f32 && !from_f32)) return nullptr;
  const auto kernel = to_f32 ? of_best_width<F32Loop>() : from_f32 ? of_best_width<NarrowLoop>() : of_best_width<Bf16Loop>();
  const Turn turn{.x = x, .y = y, .pixels = y.numel() / y.sizes[0] / y.sizes[1], .channels = y.sizes[1]};
  return reference::make_step([turn, kernel, threads = spec.threads](void* const* bindings) {
    for (std::int64_t image = 0; image < turn.y.sizes[0]; ++image) {
      parallel_for(threads, (turn.pixels + kChunk - 1) / kChunk, grain_for(kChunk * turn.channels), [&](std::int64_t begin, std::int64_t end, int) {
        kernel({.turn = &turn, .bindings = bindings, .image = image, .begin = begin, .end = end});
      });
    }
  });
}

}  // namespace reprise::kernels::cpu
