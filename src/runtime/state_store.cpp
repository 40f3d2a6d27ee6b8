#include "runtime/state_store.h"

#include <fmt/format.h>

#include "base/check.h"
#include "runtime/device_tensor.h"

namespace reprise::runtime {

StateStore::StateStore(const plan::Plan& plan, device::DevicePtr device) : plan_(plan), device_(std::move(device)) {
  for (const auto& state : plan.states) tensors_.push_back(copy_to(device_, state.initial));
}

std::vector<void*> StateStore::addresses() const {
  std::vector<void*> all;
  for (const auto& tensor : tensors_) all.push_back(tensor.data());
  return all;
}

std::size_t StateStore::size_bytes() const {
  std::size_t sum = 0;
  for (const auto& tensor : tensors_) sum += tensor.nbytes();
  return sum;
}

std::size_t StateStore::find(std::string_view name) const {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < plan_.states.size(); ++i) {
    if (plan_.states[i].name == name) return i;
    names.push_back(plan_.states[i].name);
  }
  REPRISE_FAIL(InvalidArgument, "[run/state] no state of that name (got '{}', want one of: {})", name, fmt::join(names, ", "));
}

Tensor StateStore::read(std::string_view name) const { return copy_to(device_, tensors_[find(name)]); }

void StateStore::write(std::string_view name, const Tensor& value) {
  const std::size_t index = find(name);
  const Tensor& state = tensors_[index];
  REPRISE_CHECK(value.defined() && value.dtype() == state.dtype(), InvalidArgument, "[run/state] '{}' has another dtype (got {}, want {})", name,
                value.defined() ? reprise::name(value.dtype()) : "an undefined tensor", reprise::name(state.dtype()));
  REPRISE_CHECK(value.sizes() == state.sizes(), ShapeError, "[run/state] '{}' has other sizes (got [{}], want [{}])", name, fmt::join(value.sizes(), ", "),
                fmt::join(state.sizes(), ", "));
  overwrite(index, value.contiguous());
}

void StateStore::reset() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) overwrite(i, plan_.states[i].initial);
}

void StateStore::overwrite(std::size_t index, const Tensor& contiguous) {
  device_->copy(tensors_[index].data(), contiguous.data(), contiguous.nbytes(), device_->default_stream());
  device_->default_stream().synchronize();
}

}  // namespace reprise::runtime
