#include "kernels/cpu/attention/attention.h"

namespace reprise::kernels::cpu {

StepPtr make_attention(const StepSpec& spec) {
  const OperandRef& y = spec.outputs[0];
  if (y.dtype == DType::f64 || !is_floating(y.dtype) || y.numel() == 0) return nullptr;
  return make_float_attention(spec);
}

}  // namespace reprise::kernels::cpu
