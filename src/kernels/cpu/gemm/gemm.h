// Own products with weights that never change, packed once: any number of rows.
#pragma once

#include <string_view>

#include "kernels/cpu/contraction.h"
#include "kernels/cpu/gemm/panels.h"

namespace reprise::kernels::cpu {

struct NamedStep {
  StepPtr step;
  std::string_view name;
};

/// No step: the weights change, operands lie otherwise than in dense rows, or this machine has no fast kernel. `weights` keeps what is packed.
/// `block_bytes`: of rows that panels stream by; 0: what is likely the best. No step, too, where another number makes no difference.
NamedStep make_gemm(const Contraction& matmul, WeightCache& weights, std::int64_t block_bytes = 0);

}  // namespace reprise::kernels::cpu
