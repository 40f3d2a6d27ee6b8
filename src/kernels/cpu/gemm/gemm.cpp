#include "kernels/cpu/gemm/gemm.h"

#include <algorithm>

#include "kernels/cpu/gemm/tiles.h"
#include "kernels/cpu/product.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

bool has_dense_rows(const OperandRef& operand) { return operand.sizes[1] == 1 || operand.strides[1] == 1; }

bool takes(const Product& p, const StepSpec& spec) {
  if (p.y.rank != 2 || !has_dense_rows(p.a) || !has_dense_rows(p.y) || !is_fixed(spec, p.b)) return false;
  return (!p.has_bias || is_row(p.bias)) && (!p.has_addend || has_dense_rows(p.addend));
}

struct Gemm {
  Product operands;
  PanelForm form;
  PackedWeight panels;
  TileKernel kernel = nullptr;
  Finish finish;
  std::int64_t rows = 0, block_rows = 0, row_blocks = 1, job_panels = 1;
  int threads = 1;

  /// A block's rows stay in the second-level cache while panels stream by.
  void plan_jobs(std::int64_t block_bytes) {
    constexpr std::int64_t kRowUnit = 32;
    const std::int64_t row_bytes = form.depth * static_cast<std::int64_t>(item_size(form.dtype));
    const std::int64_t most = std::max<std::int64_t>(block_bytes / std::max<std::int64_t>(row_bytes, 1) / kRowUnit, 1) * kRowUnit;
    row_blocks = (rows + most - 1) / most;
    block_rows = ((rows + row_blocks - 1) / row_blocks + kRowUnit - 1) / kRowUnit * kRowUnit;
    row_blocks = (rows + block_rows - 1) / block_rows;
    // Enough work each to be worth a thread, and several jobs a thread, so that one that is held up does not hold up the others.
    const std::int64_t cost = block_rows * form.depth * form.width() / 16, parts = threads == 1 ? 1 : 4 * threads;
    job_panels = std::max((form.panels() + parts - 1) / parts, std::min(form.panels(), grain_for(cost)));
  }

  [[nodiscard]] std::int64_t panel_jobs() const { return (form.panels() + job_panels - 1) / job_panels; }

  void run(void* const* bindings) const {
    const auto& [a, w, y, bias, addend, has_bias, has_addend] = operands;
    Finish to = finish;
    to.bias = has_bias ? bias.at(bindings) : nullptr;
    to.addend = has_addend ? addend.at(bindings) : nullptr;
    to.y = y.at(bindings);
    to.addend_stride = addend.strides[0];
    to.y_stride = y.strides[0];
    const void* rows_of_a = a.at(bindings);
    const std::byte* weights = panels.at(bindings);
    const std::int64_t jobs = panel_jobs();
    parallel_jobs(threads, jobs * row_blocks, [&](std::int64_t job, int) {
      const std::int64_t row = job / jobs * block_rows, first = job % jobs * job_panels;
      kernel({.a = {.data = rows_of_a, .stride = operands.a.strides[0], .line = form.depth},
              .row = row,
              .rows = std::min(block_rows, rows - row),
              .panels = weights,
              .form = form,
              .first = first,
              .last = std::min(first + job_panels, form.panels()),
              .finish = &to});
    });
  }
};

}  // namespace

NamedStep make_gemm(const Contraction& matmul, WeightCache& weights, std::int64_t block_bytes) {
  constexpr std::int64_t kBlockBytes = 1 << 20;
  const auto& spec = matmul.spec;
  if (spec.op != core::Op::matmul) return {};
  const auto product = describe_product(matmul);
  if (!product || !takes(*product, spec)) return {};
  const Product& p = *product;
  const NamedTiles tiles = tile_kernel(p.y.dtype, active_isa());
  const Finish finish = finish_with(matmul.activation, p.y.dtype);
  if (tiles.run == nullptr || finish.run == nullptr) return {};
  Gemm gemm;
  gemm.operands = p;
  gemm.form = {p.y.dtype, p.b.sizes[0], p.b.sizes[1], tiles.matrix_units};
  gemm.kernel = tiles.run;
  gemm.finish = finish;
  gemm.rows = p.y.sizes[0];
  gemm.threads = std::max(1, spec.threads);
  gemm.plan_jobs(kBlockBytes);
  if (block_bytes != 0) {
    const std::int64_t likely = gemm.block_rows;
    gemm.plan_jobs(block_bytes);
    if (gemm.block_rows == likely) return {};
  }
  gemm.panels = pack_panels(weights, spec, p.b, p.b.strides[0], p.b.strides[1], gemm.form, gemm.threads);
  return {reference::make_step([gemm](void* const* bindings) { gemm.run(bindings); }), tiles.name};
}

}  // namespace reprise::kernels::cpu
