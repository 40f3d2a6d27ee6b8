// Matrix products and convolutions as one problem: y[b] = a[b] b[b] (+ bias[b]), every operand with any strides. What our own kernels take (gemm.h), and what
// the libraries' kernels are described from.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

enum class Convolution : std::uint8_t { none = 0, forward = 1, transposed = 2 };

inline constexpr int kBatchDims = 14;

/// The kernels' argument: struct Gemm of text/gemm.cuh, member by member. Offsets and strides count elements.
struct GemmLayout {
  using Quad = std::array<std::int64_t, 4>;
  using Batch = std::array<std::int64_t, kBatchDims>;
  std::int64_t rows = 1, columns = 1, depth = 1;
  Quad row_sizes{}, a_row{}, y_row{}, bias_row{};
  Quad depth_sizes{}, a_depth{}, b_depth{};
  std::int64_t b_column = 0, y_column = 0, bias_column = 0;
  std::int64_t a_origin = 0;
  std::array<std::int64_t, 3> in_strides{};
  std::array<std::int32_t, 3> in{1, 1, 1}, stride{1, 1, 1}, padding{}, dilation{1, 1, 1};
  std::int32_t row_rank = 0, depth_rank = 0, first_tap = 0, batch_rank = 0;
  Batch batch_sizes{}, a_batch{}, b_batch{}, y_batch{}, bias_batch{};
  std::int64_t batches = 1, row_tiles = 1, column_tiles = 1, splits = 1, split_depth = 0;
};

struct Contraction {
  OperandRef a, b, bias, y;  // for their slots, offsets and dtype
  bool has_bias = false;
  Convolution convolution = Convolution::none;
  bool allow_tf32 = false;  // f32 may be multiplied in tf32 (attribute `allow_tf32`)
  GemmLayout layout = {};
};

/// Checks a matmul against core/op.h. Batches that share b become rows.
Contraction describe_matmul(const StepSpec& spec);
/// Checks a conv against core/op.h. Its groups are the batches. Throws ShapeError for an image with 2^31 or more positions along one dimension.
Contraction describe_conv(const StepSpec& spec);

}  // namespace reprise::kernels::cuda
