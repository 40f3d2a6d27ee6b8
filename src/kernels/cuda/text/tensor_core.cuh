// Tensor cores on 16-bit reals: fragments, matrix instructions, asynchronous copies. T is f16_t or bf16_t.
#pragma once

#include "prelude.cuh"

template <class T>
struct HalfBits;

template <>
struct HalfBits<f16_t> {
  static __device__ float to_float(u16_t bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
  }
  // Two values, the first in the low half.
  static __device__ u32_t pack(float low, float high) {
    u32_t pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
  }
  static __device__ void mma(float (&d)[4], const u32_t (&a)[4], const u32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

template <>
struct HalfBits<bf16_t> {
  static __device__ float to_float(u16_t bits) { return __uint_as_float(static_cast<u32_t>(bits) << 16); }
  static __device__ u32_t pack(float low, float high) {
    u32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
  }
  static __device__ void mma(float (&d)[4], const u32_t (&a)[4], const u32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

__device__ inline u32_t shared_address(const void* pointer) { return static_cast<u32_t>(__cvta_generic_to_shared(pointer)); }

/// Four 8 × 8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void load_matrices(u32_t (&d)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void load_matrices_transposed(u32_t (&d)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(shared_address(row))
               : "memory");
}

/// 16 bytes to shared memory, of which the first `bytes` are read and the others become 0.
__device__ inline void copy_async(void* to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// All but the `Pending` youngest groups of this thread have arrived.
template <int Pending>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// Fragments of a tile in shared memory, 16 × 16 of A or of two neighbouring 8-column parts of B. `LaneMajor`: [k][lane] in memory, else [lane][k].
template <bool LaneMajor>
__device__ inline void load_a_fragment(u32_t (&a)[4], const u16_t* tile, int pitch, int row, int k) {
  const int lane = threadIdx.x % 32;
  if (LaneMajor)
    load_matrices_transposed(a, tile + (k + lane % 8 + lane / 16 * 8) * pitch + row + lane / 8 % 2 * 8);
  else
    load_matrices(a, tile + (row + lane % 16) * pitch + k + lane / 16 * 8);
}

template <bool LaneMajor>
__device__ inline void load_b_fragments(u32_t (&b)[4], const u16_t* tile, int pitch, int column, int k) {
  const int lane = threadIdx.x % 32;
  if (LaneMajor)
    load_matrices_transposed(b, tile + (k + lane % 16) * pitch + column + lane / 16 * 8);
  else
    load_matrices(b, tile + (column + lane % 8 + lane / 16 * 8) * pitch + k + lane / 8 % 2 * 8);
}
