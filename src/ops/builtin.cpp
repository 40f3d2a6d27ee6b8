// The built-in op table: one line per family.
#include "ops/converter.h"

namespace reprise::ops {

const Registry& Registry::builtin() {
  static const Registry kRegistry = [] {
    Registry r;
    for (const auto add_family : {add_pointwise,
                                  add_activations,
                                  add_comparison_and_bits,
                                  add_creation,
                                  add_casts,
                                  add_reductions,
                                  add_scans_and_softmax,
                                  add_losses,
                                  add_views,
                                  add_joins,
                                  add_matmul,
                                  add_convolution,
                                  add_norms,
                                  add_attention,
                                  add_pooling,
                                  add_resize,
                                  add_padding,
                                  add_indexing,
                                  add_scatter,
                                  add_sorting,
                                  add_data_dependent,
                                  add_recurrent,
                                  add_control,
                                  add_vision})
      add_family(r);
    return r;
  }();
  return kRegistry;
}

}  // namespace reprise::ops
