// Normalizations: rows dense enough to be read in packs, or anyhow.
#include "kernels/cuda/dims.h"
#include "kernels/cuda/factories.h"
#include "kernels/cuda/row_teams.h"

namespace reprise::kernels::cuda {
namespace {

/// x and y as rows; for `group` a row is the channels of one group.
struct Norm {
  OperandRef x, y;
  const OperandRef *weight = nullptr, *bias = nullptr, *mean = nullptr, *rstd = nullptr;
  std::vector<int> around, line;
  bool centered = true, group = false;
  std::int64_t group_rows = 1, channel_size = 1;
};

std::string types_of(const Norm& n) {
  const auto type = [&](const OperandRef* operand) { return type_name(operand == nullptr ? n.x.dtype : operand->dtype); };
  return fmt::format("{}, {}, {}, {}, {}", type_name(n.x.dtype), type(n.weight), type(n.bias), type(n.mean), type(n.rstd));
}

/// The strides of an optional operand of `sizes`' shape laid beside x's dimensions `dims`; 0 elsewhere and where it is absent.
OperandRef beside(const OperandRef& x, const OperandRef* operand, std::span<const int> dims) {
  OperandRef result = x;
  result.strides.fill(0);
  if (operand == nullptr) return result;
  for (std::size_t i = 0; i < dims.size(); ++i) result.strides[static_cast<std::size_t>(dims[i])] = operand->strides[i];
  return result;
}

/// Elements of a parameter lie as those of a row do: dense, and packs of `width` are aligned.
bool is_aligned(const OperandRef* parameter, int width) {
  return parameter == nullptr || pack_width({parameter}, all_dims(parameter->rank)) >= width || (width == 1 && parameter->is_contiguous());
}

int width_of(const Norm& n) {
  int width = pack_width({&n.x, &n.y}, n.line);
  while (width > 1 && (n.group ? n.channel_size % width != 0 : !is_aligned(n.weight, width) || !is_aligned(n.bias, width))) width /= 2;
  return width;
}

bool is_dense(const Norm& n) {
  for (const OperandRef* operand : {&n.x, &n.y}) {
    const Dims line({operand}, n.line);
    if (line.rank() > 1 || (line.rank() == 1 && line.stride(0, 0) != 1)) return false;
  }
  return n.group || (is_aligned(n.weight, 1) && is_aligned(n.bias, 1));
}

void put_optional(Arguments& arguments, const OperandRef* operand, bool write) {
  if (operand == nullptr)
    arguments.fixed(nullptr);
  else if (write)
    arguments.out(*operand);
  else
    arguments.in(*operand);
}

std::int64_t channel_stride(const OperandRef* parameter) { return parameter == nullptr || parameter->rank == 0 ? 0 : parameter->strides[0]; }

/// A NormRows of the text. `statistics`: mean and rstd as they lie beside the dimensions around.
Arguments arguments_of(const Norm& n, double eps, const OperandRef& mean, const OperandRef& rstd, bool wide) {
  Arguments arguments;
  arguments.in(n.x).out(n.y);
  put_optional(arguments, n.weight, false);
  put_optional(arguments, n.bias, false);
  put_optional(arguments, n.mean, true);
  put_optional(arguments, n.rstd, true);
  arguments.value(eps).value(count_along(n.x, n.around)).value(count_along(n.x, n.line)).value(n.group_rows).value(std::max<std::int64_t>(n.channel_size, 1));
  arguments.value(channel_stride(n.weight)).value(channel_stride(n.bias));
  Dims({&n.x, &n.y, &mean, &rstd}, n.around).put(arguments, wide);
  const OperandRef weight = beside(n.x, n.group ? nullptr : n.weight, n.line), bias = beside(n.x, n.group ? nullptr : n.bias, n.line);
  Dims({&n.x, &n.y, &weight, &bias}, n.line).put(arguments, wide);
  return arguments;
}

StepPtr make_rows(Gpu& gpu, const StepSpec& spec, const Norm& n, const OperandRef& mean, const OperandRef& rstd) {
  const std::int64_t rows = count_along(n.x, n.around), length = count_along(n.x, n.line);
  if (rows == 0 || (length == 0 && n.mean == nullptr && n.rstd == nullptr)) return make_empty_step();
  const bool wide = needs_wide({&n.x, &n.y, n.weight, n.bias, &mean, &rstd}), dense = is_dense(n);
  const int width = dense ? width_of(n) : 1;
  RowTeam team = team_for(length / width, width);
  if (!dense) team = {length <= 128 ? 32u : length <= 1024 ? 128u : 512u, 1, 0};
  const std::string type = fmt::format("NormRows<{}, {}>", types_of(n), index_type(wide)),
                    tail = fmt::format("{}, {}, {}", n.centered, n.group, index_type(wide));
  const bool early = !n.group && team.rows_per_block > 1;
  TextKernel kernel = team.packs > 0 ? request(gpu, "norm.cuh", fmt::format("norm_short<{}, {}, {}, {}, {}>", type, width, team.packs, early, tail))
                                     : request(gpu, "norm.cuh", fmt::format("norm_long<{}, {}, {}, {}>", type, width, dense, tail));
  Arguments arguments = arguments_of(n, spec.attrs->real("eps"), mean, rstd, wide);
  return make_step(0, [=](Operations& ops, int) { launch(ops, kernel, shape_of(team, rows), arguments); });
}

/// Takes weight and bias from the inputs behind `first`.
void take_parameters(const StepSpec& spec, std::size_t first, const OperandRef** weight, const OperandRef** bias) {
  if (spec.attrs->flag("has_weight", false)) *weight = &spec.inputs[first++];
  if (spec.attrs->flag("has_bias", false)) *bias = &spec.inputs[first];
}

StepPtr make_trailing(Gpu& gpu, const StepSpec& spec, bool centered) {
  Norm n{.x = spec.inputs[0], .y = spec.outputs[0], .around = {}, .line = {}, .centered = centered};
  const std::int64_t dims = spec.attrs->integer("dims");
  check(dims >= 0 && dims <= n.x.rank, spec, "dims is out of range");
  for (int d = 0; d < n.x.rank; ++d) (d < n.x.rank - dims ? n.around : n.line).push_back(d);
  take_parameters(spec, 1, &n.weight, &n.bias);
  for (const OperandRef* p : {n.weight, n.bias})
    check(p == nullptr || (p->rank == dims && p->numel() == count_along(n.x, n.line)), spec, "weight and bias have the trailing sizes");
  if (centered && spec.outputs.size() > 1) n.mean = &spec.outputs[1];
  const std::size_t rstd_at = centered ? 2 : 1;
  if (spec.outputs.size() > rstd_at) n.rstd = &spec.outputs[rstd_at];
  for (const OperandRef* s : {n.mean, n.rstd})
    check(s == nullptr || (s->rank == n.x.rank && s->numel() == count_along(n.x, n.around)), spec, "statistics have the leading sizes");
  return make_rows(gpu, spec, n, beside(n.x, n.mean, n.around), beside(n.x, n.rstd, n.around));
}

/// x[N, C, *S] as [N, G, C / G, *S].
OperandRef split_channels(OperandRef x, std::int64_t groups) {
  std::copy_backward(x.sizes.begin() + 2, x.sizes.begin() + x.rank, x.sizes.begin() + x.rank + 1);
  std::copy_backward(x.strides.begin() + 2, x.strides.begin() + x.rank, x.strides.begin() + x.rank + 1);
  x.sizes[2] = x.sizes[1] / groups;
  x.strides[2] = x.strides[1];
  x.sizes[1] = groups;
  x.strides[1] *= x.sizes[2];
  ++x.rank;
  return x;
}

StepPtr make_group(Gpu& gpu, const StepSpec& spec) {
  const OperandRef& x = spec.inputs[0];
  const std::int64_t groups = spec.attrs->integer("groups");
  check(x.rank >= 2 && x.rank < kMaxRank && groups > 0 && x.sizes[1] % groups == 0, spec, "channels do not divide into groups");
  Norm n{.x = split_channels(x, groups), .y = split_channels(spec.outputs[0], groups), .around = {0, 1}, .line = {}, .group = true, .group_rows = groups};
  for (int d = 2; d < n.x.rank; ++d) n.line.push_back(d);
  for (int d = 2; d < x.rank; ++d) n.channel_size *= x.sizes[static_cast<std::size_t>(d)];
  take_parameters(spec, 1, &n.weight, &n.bias);
  for (const OperandRef* p : {n.weight, n.bias})
    check(p == nullptr || (p->rank == 1 && p->numel() == x.sizes[1]), spec, "parameters have one element a channel");
  if (spec.outputs.size() > 1) n.mean = &spec.outputs[1];
  if (spec.outputs.size() > 2) n.rstd = &spec.outputs[2];
  for (const OperandRef* s : {n.mean, n.rstd}) check(s == nullptr || (s->rank >= 2 && s->numel() == x.sizes[0] * groups), spec, "statistics are [N, G]");
  return make_rows(gpu, spec, n, beside(n.x, n.mean, n.around), beside(n.x, n.rstd, n.around));
}

StepPtr make_batch(Gpu& gpu, const StepSpec& spec) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0], *weight = nullptr, *bias = nullptr;
  check(x.rank >= 2, spec, "the input has no channels");
  take_parameters(spec, 3, &weight, &bias);
  const OperandRef* parameters[] = {&spec.inputs[1], &spec.inputs[2], weight, bias};
  OperandRef laid[4];
  std::string types = type_name(x.dtype);
  for (std::size_t i = 0; i < 4; ++i) {
    const OperandRef* p = parameters[i];
    check(p == nullptr || (p->rank == 1 && p->numel() == x.sizes[1]), spec, "parameters have one element a channel");
    laid[i] = beside(x, p, std::array{1});
    types += ", " + type_name(p == nullptr ? x.dtype : p->dtype);
  }
  if (x.numel() == 0) return make_empty_step();
  const bool wide = needs_wide({&x, &y, &laid[0], &laid[1], &laid[2], &laid[3]});
  Arguments arguments;
  arguments.in(x).out(y);
  for (const OperandRef* p : parameters) put_optional(arguments, p, false);
  arguments.value(spec.attrs->real("eps")).value(x.numel());
  Dims({&x, &y, &laid[0], &laid[1], &laid[2], &laid[3]}, by_stride(y, all_dims(x.rank))).put(arguments, wide);
  TextKernel kernel = request(gpu, "norm.cuh", fmt::format("norm_channels<{}, {}>", types, index_type(wide)));
  return make_step(0, [=, count = x.numel()](Operations& ops, int) { launch_each(ops, kernel, count, arguments); });
}

}  // namespace

StepPtr make_norm(Gpu& gpu, const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  const std::size_t inputs = (kind == "batch" ? 3 : 1) + static_cast<std::size_t>(spec.attrs->flag("has_weight", false)) +
                             static_cast<std::size_t>(spec.attrs->flag("has_bias", false));
  check_counts(spec, inputs, 1, kind == "batch" ? 1 : kind == "rms" ? 2 : 3);
  check(same_shape(spec.inputs[0], spec.outputs[0]), spec, "sizes differ");
  check(is_floating(spec.inputs[0].dtype) && spec.inputs[0].dtype == spec.outputs[0].dtype, spec, "the input is not real");
  if (kind == "layer" || kind == "rms") return make_trailing(gpu, spec, kind == "layer");
  if (kind == "group") return make_group(gpu, spec);
  check(kind == "batch", spec, "unknown kind");
  return make_batch(gpu, spec);
}

}  // namespace reprise::kernels::cuda
