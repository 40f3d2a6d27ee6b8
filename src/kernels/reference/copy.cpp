// Copies between layouts: rows where both sides run along the same dimension, blocks where one side is a transpose of the other.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::reference {
namespace {

struct Loop {
  std::int64_t size, dst, src;  // strides in elements
};

// Outermost first by the destination's strides, merged where both sides continue; at least two loops, the last two being the plane that `copy_plane` does.
std::vector<Loop> plan_loops(const OperandRef& dst, const OperandRef& src) {
  std::vector<Loop> sorted, loops;
  for (int d = 0; d < dst.rank; ++d) {
    if (dst.sizes[d] != 1) sorted.push_back({dst.sizes[d], dst.strides[d], src.strides[d]});
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Loop& a, const Loop& b) { return std::abs(a.dst) > std::abs(b.dst); });
  for (const Loop& loop : sorted) {
    if (!loops.empty() && loops.back().dst == loop.dst * loop.size && loops.back().src == loop.src * loop.size)
      loops.back() = {loops.back().size * loop.size, loop.dst, loop.src};
    else
      loops.push_back(loop);
  }
  while (loops.size() < 2) loops.insert(loops.begin(), {1, 0, 0});
  // The loop along which the source is dense becomes the plane's other one.
  const auto dense = std::find_if(loops.begin(), loops.end() - 1, [](const Loop& l) { return l.src == 1 && l.size > 1; });
  if (loops.back().src != 1 && dense != loops.end() - 1) std::rotate(dense, dense + 1, loops.end() - 1);
  return loops;
}

template <class T>
void copy_row(T* dst, std::int64_t dst_stride, const T* src, std::int64_t src_stride, std::int64_t n) {
  if (dst_stride == 1 && src_stride == 1) {
    std::memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(T));
  } else if (dst_stride == 1 && src_stride == 0) {
    std::fill_n(dst, n, *src);
  } else {
    for (std::int64_t i = 0; i < n; ++i) dst[i * dst_stride] = src[i * src_stride];
  }
}

// Blocks keep the cache lines of both sides in use while they are walked across.
constexpr std::int64_t kBlock = 32;

template <class T>
void copy_plane(T* dst, const T* src, const Loop& outer, std::int64_t rows, const Loop& inner) {
  const bool transposed = outer.src == 1 && inner.src != 1;
  const std::int64_t width = transposed ? kBlock : inner.size;
  for (std::int64_t column = 0; column < inner.size; column += width) {
    const std::int64_t n = std::min(width, inner.size - column);
    for (std::int64_t row = 0; row < rows; ++row) {
      copy_row(dst + row * outer.dst + column * inner.dst, inner.dst, src + row * outer.src + column * inner.src, inner.src, n);
    }
  }
}

struct Copy {
  OperandRef dst, src;
  std::vector<Loop> loops;
  std::int64_t outer = 1, row_blocks = 1;  // positions of the loops around the plane; blocks of rows in a plane
  int threads = 1;

  // Unit = position of the outer loops × block of the plane's rows.
  template <class T>
  void run_units(T* to, const T* from, std::int64_t begin, std::int64_t end) const {
    const Loop &rows = loops[loops.size() - 2], &inner = loops.back();
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t first = unit % row_blocks * kBlock;
      std::int64_t to_offset = first * rows.dst, from_offset = first * rows.src, position = unit / row_blocks;
      for (std::size_t l = loops.size() - 2; l-- > 0; position /= loops[l].size) {
        to_offset += position % loops[l].size * loops[l].dst;
        from_offset += position % loops[l].size * loops[l].src;
      }
      copy_plane(to + to_offset, from + from_offset, rows, std::min(kBlock, rows.size - first), inner);
    }
  }

  template <class T>
  void run(void* const* bindings) const {
    auto* to = reinterpret_cast<T*>(dst.at(bindings));
    const auto* from = reinterpret_cast<const T*>(src.at(bindings));
    const std::int64_t cost = std::min(kBlock, loops[loops.size() - 2].size) * loops.back().size;
    parallel_for(threads, outer * row_blocks, grain_for(cost), [&](std::int64_t begin, std::int64_t end, int) { run_units(to, from, begin, end); });
  }
};

template <class T>
StepPtr step_of(const Copy& copy) {
  return make_step([copy](void* const* bindings) { copy.run<T>(bindings); });
}

}  // namespace

StepPtr make_copy(const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  check(spec.inputs[0].dtype == spec.outputs[0].dtype, spec, "dtypes differ");
  check(same_shape(spec.inputs[0], spec.outputs[0]), spec, "sizes differ");
  Copy copy{.dst = spec.outputs[0], .src = spec.inputs[0], .loops = plan_loops(spec.outputs[0], spec.inputs[0]), .threads = spec.threads};
  const bool same_place = copy.dst.slot == copy.src.slot && copy.dst.offset == copy.src.offset && copy.dst.strides == copy.src.strides;
  if (copy.dst.numel() == 0 || same_place) return make_step([](void* const*) {});
  for (std::size_t l = 0; l + 2 < copy.loops.size(); ++l) copy.outer *= copy.loops[l].size;
  copy.row_blocks = (copy.loops[copy.loops.size() - 2].size + kBlock - 1) / kBlock;
  switch (item_size(copy.dst.dtype)) {
    case 1:
      return step_of<std::uint8_t>(copy);
    case 2:
      return step_of<std::uint16_t>(copy);
    case 4:
      return step_of<std::uint32_t>(copy);
    default:
      return step_of<std::uint64_t>(copy);
  }
}

}  // namespace reprise::kernels::reference
