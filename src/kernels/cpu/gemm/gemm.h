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
NamedStep make_gemm(const Contraction& matmul, WeightCache& weights);

}  // namespace reprise::kernels::cpu
