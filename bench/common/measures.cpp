#include "common/measures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reprise/runtime.h"

namespace reprise::bench {
namespace {

std::vector<float> values_on_host(const Tensor& tensor) {
  const Tensor plain = runtime::copy_to(tensor, Device::cpu()).to(DType::f32);
  return {plain.data_as<float>(), plain.data_as<float>() + plain.numel()};
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double difference(const std::vector<Tensor>& got, const std::vector<Tensor>& want) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  double worst = got.size() == want.size() ? 0 : kInfinite;
  for (std::size_t i = 0; i < got.size() && worst < kInfinite; ++i) {
    if (got[i].sizes() != want[i].sizes()) return kInfinite;
    const auto a = values_on_host(got[i]), b = values_on_host(want[i]);
    double largest = 1e-30, apart = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
      const double one = std::abs(static_cast<double>(a[k]) - static_cast<double>(b[k]));
      apart = std::isfinite(one) ? std::max(apart, one) : kInfinite;
      largest = std::max(largest, std::abs(static_cast<double>(b[k])));
    }
    worst = std::max(worst, apart / largest);
  }
  return worst;
}

}  // namespace reprise::bench
