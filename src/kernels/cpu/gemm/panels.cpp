#include "kernels/cpu/gemm/panels.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "kernels/parallel.h"

namespace reprise::kernels::cpu {
namespace {

/// Rows of a panel at a time: what is written stays in the nearest cache while columns are read one after the other.
constexpr std::int64_t kChunk = 64;

void pack_f32(const MatrixView& from, const PanelForm& form, std::int64_t panel, float* to) {
  const auto* data = static_cast<const float*>(from.data);
  const std::int64_t width = form.width(), column0 = panel * width, columns = std::min(width, form.columns - column0);
  for (std::int64_t k0 = 0; k0 < form.depth; k0 += kChunk) {
    const std::int64_t k1 = std::min(form.depth, k0 + kChunk);
    for (std::int64_t c = 0; c < width; ++c) {
      const float* column = data + (column0 + c) * from.column_stride;
      for (std::int64_t k = k0; k < k1; ++k) to[k * width + c] = c < columns ? column[k * from.row_stride] : 0.0F;
    }
  }
}

void pack_bf16(const MatrixView& from, const PanelForm& form, std::int64_t panel, std::uint16_t* to) {
  constexpr std::int64_t kDepth = PanelForm::kBlockDepth, kTile = PanelForm::kTileColumns;
  const auto* data = static_cast<const std::uint16_t*>(from.data);
  const std::int64_t width = form.width(), column0 = panel * width, columns = std::min(width, form.columns - column0);
  for (std::int64_t block = 0; block < form.blocks(); ++block, to += kDepth * width) {
    const std::int64_t k0 = block * kDepth, rows = std::min(kDepth, form.depth - k0);
    for (std::int64_t c = 0; c < width; ++c) {
      const std::uint16_t* column = data + (column0 + c) * from.column_stride + k0 * from.row_stride;
      std::uint16_t* tile = to + c / kTile * kDepth * kTile + c % kTile * 2;
      for (std::int64_t k = 0; k < kDepth; ++k) tile[k / 2 * kTile * 2 + k % 2] = c < columns && k < rows ? column[k * from.row_stride] : std::uint16_t{0};
    }
  }
}

}  // namespace

std::shared_ptr<const std::byte> allocate_packed(std::size_t bytes) {
  constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;
  void* memory = nullptr;
  const int status = ::posix_memalign(&memory, bytes >= kHugePage ? kHugePage : kLine, std::max<std::size_t>(bytes, 1));
  REPRISE_CHECK(status == 0, OutOfMemory, "[kernels/pack] no memory for packed weights (want {} bytes)", bytes);
  if (bytes >= kHugePage) ::madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish: fewer translations while they stream by
  return {static_cast<std::byte*>(memory), [](const std::byte* p) { std::free(const_cast<std::byte*>(p)); }};
}

void pack_panels(const MatrixView& from, const PanelForm& form, void* to, int threads) {
  const std::int64_t cost = form.width() * form.depth;
  parallel_for(threads, form.panels(), grain_for(cost), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      std::byte* place = static_cast<std::byte*>(to) + static_cast<std::size_t>(panel) * form.panel_bytes();
      if (form.dtype == DType::f32)
        pack_f32(from, form, panel, reinterpret_cast<float*>(place));
      else
        pack_bf16(from, form, panel, reinterpret_cast<std::uint16_t*>(place));
    }
  });
}

PanelCache::Panels PanelCache::pack(const MatrixView& from, const PanelForm& form, int threads) {
  const std::lock_guard lock(mutex_);
  auto& known = known_[{from.data, from.row_stride, from.column_stride, form.dtype, form.depth, form.columns}];
  if (Panels panels = known.lock()) return panels;
  Panels made = allocate_packed(form.bytes());
  pack_panels(from, form, const_cast<std::byte*>(made.get()), threads);
  known = made;
  return made;
}

}  // namespace reprise::kernels::cpu
