// The core ops: what ATen ops are rewritten to and the only thing that back ends know.
//
// This page is the contract between converters (which build these), kernels (which run them) and plans (which store them). Notation: `x[N, C, *S]` is an
// operand with its sizes; `?` an optional operand, present when the flag attribute `has_…` says so; attributes stand in braces. Operands may have any
// strides (0 where broadcast) and offset; outputs are what the node defines and are contiguous unless a later pass gives them another layout. Unless an op
// says otherwise, input and output dtypes are equal; f16 and bf16 accumulate in f32. Sizes and integer attributes may be symbolic. All are pure except `write`.
// Optional outputs: an op whose outputs are marked `?` takes any prefix of them.
//
//   pointwise    in_i[*S] … → out_j[*S] …                    {program}           broadcasting is in the strides
//   copy         x[*S] → y[*S]                                                    a change of layout
//   reduce       x[*S] → y[*S, axes = 1]                     {kind, axes}        sum prod max min any all argmax argmin; y's dtype is the output's own: sum and
//                                                                                 prod convert first; max/min propagate NaN; arg* give i64 positions of the
//                                                                                 first extremum along their one axis (NaN counts as the extremum)
//   scan         x[*S] → y[*S], indices?[*S] i64             {kind, axis}        sum prod max min logsumexp; indices for max, min
//   softmax      x[*S] → y[*S]                               {axis, log}
//   norm         x, weight?, bias? → y, mean?, rstd?         {kind = layer | rms | group, eps, has_weight, has_bias; layer, rms: dims = how many trailing
//                                                              dimensions; group: groups}   layer: weight and bias have the trailing sizes, mean and rstd the
//                                                              leading ones then 1s; rms: y, rstd? (no mean); group: x[N, C, *S], weight[C], bias[C], mean[N,
//                                                              G], rstd[N, G] (stats are f32 for f16/bf16 input unless their output dtype says otherwise)
//                x, mean[C], var[C], weight?[C], bias?[C] → y   {kind = batch, eps, has_weight, has_bias}      inference: x[N, C, *S]
//   attention    q[*B, L, E], k[*B, S, E], v[*B, S, Ev], mask?[*B, L, S] → y[*B, L, Ev]   {scale, causal, has_mask}   mask: boolean (true = take part)
//                                                              or added; causal counts from the upper left corner; a row with nothing to attend to is 0
//   matmul       a[*B, M, K], b[*B, K, N], bias?[*B, M, N] → y[*B, M, N]          {has_bias}
//   conv         x[N, Ci, *S], w[Co, Ci/g, *K], bias?[Co] → y[N, Co, *O]           {stride, padding, dilation, output_padding, groups, transposed, has_bias}
//                                                              transposed: w[Ci, Co/g, *K]; 1 to 3 spatial dimensions; padding on both sides
//   matmul, conv with an epilogue: … e_i[*y] … → y           {epilogue?, allow_tf32?}   a scalar program of one output and no symbols: operands e_i follow and
//                                                              y = epilogue(what it is without, e_0, e_1, …), rounded in between or not; allow_tf32: f32
//                                                              may be multiplied as tf32
//   pool         x[N, C, *S] → y[N, C, *O], indices?[N, C, *O] i64   {kind = max | avg | adaptive_avg | adaptive_max, kernel, stride, padding, dilation,
//                                                              count_include_pad, divisor (0: none)}   the adaptive kinds need only the sizes; indices are flat
//                                                              in *S; windows are clipped as PyTorch's ceil_mode does
//   resize       x[N, C, *S] → y[N, C, *O]                   {kind = nearest | nearest_exact | linear | cubic, align_corners, antialias, scales = per
//                                                              spatial dimension, output/input as PyTorch was given it, 0: from the sizes}
//   pad          x[*S] → y[*O]                               {kind = constant | reflect | replicate | circular, before, after (per dimension, may be
//                                                              negative but for circular), value (real)}
//   concat       x_i … → y                                   {axis}
//   gather       x, index i64 → y[index sizes]               {axis}              as torch.gather
//   scatter      x, index i64, src[index sizes] → y[x sizes] {axis, reduce = none | sum | prod | mean | max | min, include_self}
//   index        x, indices_j[*I] i64 … → y                  {axes, position}    x[…, i_j, …]: dimension axes[j] of x is indexed by indices_j; the index
//                                                              dimensions *I stand in y at `position` among the kept dimensions; negative indices wrap;
//                                                              outside: ShapeError
//   index_put    x, values[index's y sizes], indices_j … → y[x sizes]   {axes, position, accumulate}   last write wins where an index repeats
//   write_view   x, src[*V] → y[x sizes]                     {sizes, strides, offset}   y = x but for the elements of the view (of x's contiguous form),
//                                                              which are src
//   sort         x → values, indices i64                     {axis, descending, stable}   NaN sorts last ascending, first descending; equals keep their order
//   topk         x → values[k along axis], indices i64       {axis, largest, sorted}      k is the output's size; of equal elements the first
//   search_sorted  sorted[*B, n], values[*B, m] → y[*B, m] i64 or i32   {right}
//   iota         → y[n]                                      {start, step}       integers: exprs; reals: doubles
//   fill         → y[*S]                                     {value}             bool, integer expr or real
//   random       → y[*S]                                     {kind = uniform | normal | integers, low, high, seed_slot}
//
// Data-dependent sizes: each defines the symbols that the node lists (`defines`), one per element of its last output `count`, an i64 vector; an output that is
// sized by such a symbol is stored with its upper bound and its first elements are used.
//   nonzero      x[*S] → y[u, rank] i64, count[1]
//   unique       x → values[u…], inverse i64, counts[u] i64, count[1]   {axis (-1: flat), consecutive}   sorted unless consecutive
//   nms          boxes[n, 4], scores[n] → kept[u] i64, count[1]          {iou_threshold}
//   repeat_interleave  repeats[n] i64 → y[u] i64, count[1]               index i repeated repeats[i] times
//   item         x[] → count: none; defines one symbol from the value of x itself (real for floats)
//
// Control and state:
//   cond         pred[] boolean → results of one of two regions
//   while        init_i … → results; regions: condition (params → pred), body (params → next)
//   check        x[] boolean                                  {message}           ShapeError with the message when false
//   write        dst (any view), src[dst sizes] →             mutates dst's root; gone after `functionalize`
//   foreign      operands → results                           {name}              a user's kernel
#pragma once

#include <cstdint>
#include <string_view>

namespace reprise::core {

/// The numbers are part of the `.rpz` format: append, never renumber.
enum class Op : std::uint8_t {
  pointwise = 0,
  copy = 1,
  reduce = 2,
  scan = 3,
  softmax = 4,
  norm = 5,
  attention = 6,
  matmul = 7,
  conv = 8,
  pool = 9,
  resize = 10,
  pad = 11,
  concat = 12,
  gather = 13,
  scatter = 14,
  index = 15,
  index_put = 16,
  write_view = 17,
  sort = 18,
  topk = 19,
  search_sorted = 20,
  iota = 21,
  fill = 22,
  random = 23,
  nonzero = 30,
  unique = 31,
  nms = 32,
  repeat_interleave = 33,
  item = 34,
  cond = 40,
  while_loop = 41,
  check = 42,
  write = 43,
  foreign = 44
};

std::string_view name(Op op);
/// Throws FormatError for an unknown name.
Op parse_op(std::string_view text);
/// True for the ops whose output sizes depend on data.
constexpr bool is_data_dependent(Op op) { return op >= Op::nonzero && op <= Op::item; }

}  // namespace reprise::core
