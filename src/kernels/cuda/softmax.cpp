#include <algorithm>
#include <bit>

#include "kernels/cuda/dims.h"
#include "kernels/cuda/factories.h"
#include "kernels/cuda/row_teams.h"

namespace reprise::kernels::cuda {
namespace {

struct Rows {
  OperandRef x, y;
  Dims around, line;
  std::int64_t rows, length;
  int width;
  bool wide;

  Rows(const OperandRef& in, const OperandRef& out, std::span<const int> axis)
      : x(in),
        y(out),
        around({&x, &y}, by_stride(x, other_dims(x.rank, axis))),
        line({&x, &y}, axis),
        rows(around.numel()),
        length(count_along(x, axis)),
        width(pack_width({&x, &y}, axis)),
        wide(needs_wide({&x, &y})) {}

  [[nodiscard]] std::int64_t stride(std::size_t operand) const { return line.rank() == 0 ? 1 : line.stride(0, operand); }
  // Neighbouring rows lie beside each other, neighbouring elements of a row do not.
  [[nodiscard]] bool across() const { return stride(0) != 1 && around.rank() > 0 && around.stride(around.rank() - 1, 0) == 1; }
};

StepPtr make_step_of(const Rows& r, TextKernel kernel, const LaunchShape& shape) {
  return make_step(0, [=](Operations& ops, int) {
    Arguments arguments;
    arguments.in(r.x).out(r.y).value(r.rows).value(r.length).value(r.stride(0)).value(r.stride(1));
    r.around.put(arguments, r.wide);
    launch(ops, kernel, shape, arguments);
  });
}

}  // namespace

StepPtr make_softmax(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  check(same_shape(x, y), spec, "sizes differ");
  check(is_floating(x.dtype) && x.dtype == y.dtype, spec, "the input is not real");
  if (x.numel() == 0) return make_empty_step();
  std::vector<int> axis;
  if (x.rank > 0) axis = {axis_of(spec, spec.attrs->integer("axis"), x.rank)};
  const Rows r(x, y, axis);
  const std::string type = type_name(x.dtype), tail = fmt::format("{}, {}", spec.attrs->flag("log", false), index_type(r.wide));
  if (r.across()) {
    const auto parts = std::clamp(std::bit_floor(static_cast<unsigned>(std::min<std::int64_t>(r.length / 8, 32))), 1u, 32u);
    return make_step_of(r, request(gpu, "softmax.cuh", fmt::format("softmax_across<{}, {}>", type, tail)),
                        {.grid = {blocks_for(r.rows, 32)}, .block = {32, parts}});
  }
  const RowTeam team = team_for(r.length / r.width, r.width);
  if (team.packs > 0)
    return make_step_of(r, request(gpu, "softmax.cuh", fmt::format("softmax_short<{}, {}, {}, {}>", type, r.width, team.packs, tail)), shape_of(team, r.rows));
  return make_step_of(r, request(gpu, "softmax.cuh", fmt::format("softmax_long<{}, {}, {}>", type, r.width, tail)), shape_of(team, r.rows));
}

}  // namespace reprise::kernels::cuda
