#include "kernels/cpu/attention/attention.h"

#include "kernels/isa.h"

namespace reprise::kernels::cpu {

StepPtr make_attention(const StepSpec& spec) {
  const OperandRef& y = spec.outputs[0];
  if (y.dtype == DType::f64 || !is_floating(y.dtype) || y.numel() == 0) return nullptr;
  return y.dtype == DType::bf16 && active_isa() == Isa::amx ? make_tile_attention(spec) : make_float_attention(spec);
}

}  // namespace reprise::kernels::cpu
