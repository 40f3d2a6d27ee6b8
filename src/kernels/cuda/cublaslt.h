// cuBLASLt: matrix products of reals, opened when the first one is made.
#pragma once

#include <vector>

#include "kernels/cuda/epilogue.h"

namespace reprise::kernels::cuda {

/// Steps for a matmul, one per algorithm that the library proposes, the likely fastest first, at most `most`. Empty: the library is absent, or it cannot read
/// these strides or compute this epilogue. `contraction` from describe_matmul, or from describe_conv where Contraction::convolution is none.
std::vector<StepPtr> make_cublaslt_steps(Gpu& gpu, const Contraction& contraction, const Epilogue& epilogue, int most);

/// The library, where it is there, can read these strides and compute this epilogue.
bool cublaslt_takes(const Contraction& contraction, const Epilogue& epilogue);

}  // namespace reprise::kernels::cuda
