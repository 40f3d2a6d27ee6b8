#include "kernels/packed.h"

namespace reprise::kernels {

bool is_packed(const OperandRef& x, bool channels_last) {
  std::int64_t step = 1;
  const auto next = [&](int d) {
    const auto i = static_cast<std::size_t>(d);
    const bool fits = x.sizes[i] == 1 || x.strides[i] == step;
    step *= x.sizes[i];
    return fits;
  };
  if (channels_last && !next(1)) return false;
  for (int d = x.rank; d-- > 0;) {
    if ((d != 1 || !channels_last) && !next(d)) return false;
  }
  return true;
}

}  // namespace reprise::kernels
