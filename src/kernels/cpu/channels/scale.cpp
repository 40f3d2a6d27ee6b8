#include <algorithm>

#include "core/scalar_program.h"
#include "kernels/cpu/activate.h"
#include "kernels/cpu/channels/channels.h"
#include "kernels/packed.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

struct Scale {
  OperandRef x, s, y;
  std::int64_t pixels = 0, channels = 0;  // pixels of an image
};

/// Pixels [begin, end) of all images.
struct Job {
  const Scale* scale = nullptr;
  void* const* bindings = nullptr;
  std::int64_t begin = 0, end = 0;
};

template <int W, class E>
REPRISE_INLINE void run_pixels(const Job& job) {
  using V = Floats<W>;
  const Scale& scale = *job.scale;
  const auto* s = reinterpret_cast<const E*>(scale.s.at(job.bindings));
  const std::int64_t n = scale.channels;
  for (std::int64_t pixel = job.begin; pixel < job.end; ++pixel) {
    const auto* x = reinterpret_cast<const E*>(scale.x.at(job.bindings)) + pixel * n;
    auto* y = reinterpret_cast<E*>(scale.y.at(job.bindings)) + pixel * n;
    const E* factors = s + pixel / scale.pixels * scale.s.strides[0];
    // The last channels of a pixel, in a vector that begins among those before: taken first, since the result may lie where x does.
    const std::int64_t last = std::max<std::int64_t>(n - W, 0), lanes = n - last;
    const V behind = load_first<V>(x + last, lanes) * load_first<V>(factors + last, lanes);
    for (std::int64_t c = 0; c + W <= n; c += W) store(y + c, load<V>(x + c) * load<V>(factors + c));
    store_first(y + last, behind, lanes);
  }
}

template <int W>
struct F32Loop {
  static void run(const Job& job) { run_pixels<W, float>(job); }
};
template <int W>
struct Bf16Loop {
  static void run(const Job& job) { run_pixels<W, BFloat16>(job); }
};

/// input 0 · input 1, whatever is rounded in between.
bool is_product(const core::ScalarProgram& program) {
  const auto bare = [&](int v) {
    while (program.code[static_cast<std::size_t>(v)].op == core::ScalarOp::cast) v = program.code[static_cast<std::size_t>(v)].a;
    return program.code[static_cast<std::size_t>(v)];
  };
  if (program.inputs.size() != 2 || program.outputs.size() != 1) return false;
  const core::Instr product = bare(program.outputs[0]);
  if (product.op != core::ScalarOp::mul) return false;
  const core::Instr a = bare(product.a), b = bare(product.b);
  return a.op == core::ScalarOp::input && b.op == core::ScalarOp::input && a.imm_int != b.imm_int;
}

/// A value for each image and channel.
bool is_per_channel(const OperandRef& s) {
  for (std::size_t d = 2; d < static_cast<std::size_t>(s.rank); ++d) {
    if (s.sizes[d] > 1 && s.strides[d] != 0) return false;
  }
  return s.sizes[1] == 1 || s.strides[1] == 1;
}

}  // namespace

StepPtr make_channels_scale(const StepSpec& spec) {
  if (spec.inputs.size() != 2 || spec.outputs.size() != 1 || !is_product(spec.attrs->program("program"))) return nullptr;
  const OperandRef& y = spec.outputs[0];
  if ((y.dtype != DType::f32 && y.dtype != DType::bf16) || y.rank < 3 || y.numel() == 0 || !is_packed(y, true)) return nullptr;
  for (const OperandRef& in : spec.inputs) {
    if (in.dtype != y.dtype || in.rank != y.rank || !std::ranges::equal(in.shape(), y.shape())) return nullptr;
  }
  const bool first = is_packed(spec.inputs[0], true);
  Scale scale{.x = spec.inputs[first ? 0 : 1], .s = spec.inputs[first ? 1 : 0], .y = y, .pixels = y.numel() / y.sizes[0] / y.sizes[1], .channels = y.sizes[1]};
  if (!is_packed(scale.x, true) || !is_per_channel(scale.s)) return nullptr;
  const auto kernel = y.dtype == DType::bf16 ? of_best_width<Bf16Loop>() : of_best_width<F32Loop>();
  return reference::make_step([scale, kernel, threads = spec.threads](void* const* bindings) {
    parallel_for(threads, scale.y.sizes[0] * scale.pixels, grain_for(scale.channels),
                 [&](std::int64_t begin, std::int64_t end, int) { kernel({.scale = &scale, .bindings = bindings, .begin = begin, .end = end}); });
  });
}

}  // namespace reprise::kernels::cpu
