// What measurements are reduced to.
#pragma once

#include <vector>

#include "reprise/tensor.h"

namespace reprise::bench {

[[nodiscard]] double median(std::vector<double> values);  // NaN of none

/// The largest difference relative to the largest element of `want`; infinite where sizes differ or one is not finite.
[[nodiscard]] double difference(const std::vector<Tensor>& got, const std::vector<Tensor>& want);

}  // namespace reprise::bench
