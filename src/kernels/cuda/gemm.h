// Our own contraction kernels: tensor cores for f16 and bf16, ordinary arithmetic for the other dtypes. Any strides and shapes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/contraction.h"

namespace reprise::kernels::cuda {

/// One way to run a contraction.
struct GemmChoice {
  int tile = 0;    // index into the table of tiles of its dtype
  int splits = 1;  // of the depth; more than 1 adds a kernel that sums the parts
  friend bool operator==(const GemmChoice&, const GemmChoice&) = default;
};

/// What is likely to be fast, without measuring.
GemmChoice choose_gemm(const Gpu& gpu, const Contraction& contraction);
/// What is worth measuring: the likely one first.
std::vector<GemmChoice> gemm_choices(const Gpu& gpu, const Contraction& contraction);

/// That `choice`, which may come from a file, is one that exists for this contraction.
bool is_gemm_choice(const Contraction& contraction, const GemmChoice& choice);

/// What follows the sum where it is stored: the text of a struct Finish (text/gemm.cuh) and the operands whose addresses are its members, in order. They have
/// y's sizes and strides.
struct Finish {
  std::string text;
  std::string name = "NoFinish";
  std::vector<OperandRef> operands;
};

/// The types of the kernels for a dtype: elements (integers without sign: they wrap) and sums.
std::string arithmetic_type(DType dtype);
std::string sum_type(DType dtype);

StepPtr make_gemm(Gpu& gpu, const Contraction& contraction, const GemmChoice& choice, const Finish& finish = {});

}  // namespace reprise::kernels::cuda
