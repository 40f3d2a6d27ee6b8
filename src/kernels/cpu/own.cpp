#include "kernels/cpu/own.h"

#include "kernels/cpu/attention/attention.h"
#include "kernels/cpu/pointwise/pointwise.h"
#include "kernels/cpu/rows/rows.h"

namespace reprise::kernels::cpu {

StepPtr make_own(const StepSpec& spec) {
  switch (spec.op) {
    case core::Op::attention:
      return make_attention(spec);
    case core::Op::pointwise:
      return make_pointwise(spec);
    case core::Op::norm:
      return make_norm(spec);
    case core::Op::softmax:
      return make_softmax(spec);
    case core::Op::reduce:
      return make_reduce(spec);
    default:
      return nullptr;
  }
}

}  // namespace reprise::kernels::cpu
