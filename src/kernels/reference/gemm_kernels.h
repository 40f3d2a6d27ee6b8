// The innermost loops of matrix products, compiled for several instruction sets. T is float or double.
//
// Packed operands: A in panels of kRows rows, B in panels of kColumns columns; a panel holds, for each k, its rows (columns) next to each other, zeros beyond
// the edge.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace reprise::kernels::reference {

inline constexpr std::int64_t kRows = 8;
template <class T>
inline constexpr std::int64_t kColumns = 128 / static_cast<std::int64_t>(sizeof(T));

/// tile[kRows][kColumns] = (accumulate ? tile : 0) + Σ_k a[k][row] b[k][column].
template <class T>
using TileKernel = void (*)(std::int64_t depth, const T* a, const T* b, T* tile, bool accumulate);
/// out[i] += x * row[i]: one k of a row vector times a matrix with dense rows.
template <class T>
using AxpyKernel = void (*)(std::int64_t n, T x, const T* row, T* out);
/// Σ x[i] y[i].
template <class T>
using DotKernel = void (*)(std::int64_t n, const T* x, const T* y, T* result);

template <class T>
struct GemmKernels {
  TileKernel<T> tile;
  AxpyKernel<T> axpy;
  DotKernel<T> dot;
};

template <class T>
GemmKernels<T> gemm_kernels();  // for this machine
/// The tile kernel of one instruction set, which the machine must have.
template <class T>
TileKernel<T> tile_kernel(Isa isa);

}  // namespace reprise::kernels::reference
