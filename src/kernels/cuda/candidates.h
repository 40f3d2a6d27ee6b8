// The kernels that can run a matmul or conv, by name: what the tuner measures and what a stored choice names.
//
//   cudnn:<plan>              a plan of cuDNN (cudnn.h)
//   cublaslt:<n>              the n-th algorithm that cuBLASLt proposes
//   gemm:<tile>x<splits>      our own tiles (gemm.h)
//   cluster:<tile>x<splits>   our own tiles, the depth shared by a cluster (gemm_cluster.h)
//   direct                    our own sums without tiles (conv_direct.h)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

/// Throws InvalidArgument unless the operands obey core/op.h.
void check_contraction(const StepSpec& spec);

/// Names worth measuring for a matmul or conv, at most `most` of each library; without measuring, the first is taken.
std::vector<std::string> contraction_candidates(Gpu& gpu, const StepSpec& spec, int most);

/// The kernel of that name, the likely fastest for an empty one. Null: it does not take these operands (or this machine lacks its library).
StepPtr make_contraction(Gpu& gpu, const StepSpec& spec, std::string_view name);

/// What would be taken without measuring, on a GPU with NVIDIA's libraries: "cudnn", "cublaslt", "direct" or "gemm".
std::string likely_contraction(const StepSpec& spec);

/// Without a GPU: requests the programs that run beside a library's kernel, which make_contraction does not make there.
void request_companions(Gpu& gpu, const StepSpec& spec);

}  // namespace reprise::kernels::cuda
