#include "kernels/cpu/own.h"

#include "kernels/cpu/attention/attention.h"

namespace reprise::kernels::cpu {

StepPtr make_own(const StepSpec& spec) {
  switch (spec.op) {
    case core::Op::attention:
      return make_attention(spec);
    default:
      return nullptr;
  }
}

}  // namespace reprise::kernels::cpu
