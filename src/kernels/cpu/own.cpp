#include "kernels/cpu/own.h"

#include "kernels/cpu/attention/attention.h"
#include "kernels/cpu/channels/channels.h"
#include "kernels/cpu/pointwise/pointwise.h"
#include "kernels/cpu/rows/rows.h"

namespace reprise::kernels::cpu {

StepPtr make_own(const StepSpec& spec) {
  switch (spec.op) {
    case core::Op::attention:
      return make_attention(spec);
    case core::Op::pointwise:
      if (StepPtr step = make_channels_turn(spec)) return step;
      if (StepPtr step = make_channels_scale(spec)) return step;
      return make_pointwise(spec);
    case core::Op::norm:
      return make_norm(spec);
    case core::Op::softmax:
      return make_softmax(spec);
    case core::Op::reduce:
      return make_reduce(spec);
    case core::Op::index:
      return make_file_rows(spec);
    case core::Op::pool:
      return make_channels_pool(spec);
    case core::Op::copy:
      return make_channels_turn(spec);
    default:
      return nullptr;
  }
}

}  // namespace reprise::kernels::cpu
