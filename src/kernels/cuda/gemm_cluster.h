// Products of f16 and bf16 whose depth the blocks of a cluster share out: what runs fast where rows and columns are too few to fill the GPU, at batch 1 above
// all.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/gemm.h"

namespace reprise::kernels::cuda {

/// One way to run it.
struct ClusterChoice {
  int tile = 0;    // index into the table of tiles
  int splits = 1;  // blocks of a cluster: 1, 2, 4 or 8
  friend bool operator==(const ClusterChoice&, const ClusterChoice&) = default;
};

/// Whether the kernel exists for these operands on this GPU: clusters (sm_90 or later), the depth and the channels of y contiguous, offsets of 32 bits.
bool cluster_gemm_takes(const Gpu& gpu, const Contraction& contraction);
/// At most `most`, the likely fastest first. The contraction must be taken.
std::vector<ClusterChoice> cluster_choices(const Gpu& gpu, const Contraction& contraction, int most);
/// `choice` may come from a file.
bool is_cluster_choice(const Gpu& gpu, const Contraction& contraction, const ClusterChoice& choice);

/// `constant_b`: b never changes while the step exists, so that it may be read before earlier kernels have finished.
StepPtr make_cluster_gemm(Gpu& gpu, const Contraction& contraction, const ClusterChoice& choice, bool constant_b, const Finish& finish = {});

}  // namespace reprise::kernels::cuda
