#include "exec/remembered_call.h"

namespace reprise::exec {
namespace {

std::size_t count_words(std::span<const Tensor> tensors) {
  std::size_t count = 0;
  for (const Tensor& t : tensors) count += t.defined() ? 3 + 2 * t.sizes().size() : 1;
  return count;
}

std::int64_t* write_words(std::span<const Tensor> tensors, std::int64_t* to) {
  for (const Tensor& t : tensors) {
    if (!t.defined()) {
      *to++ = 0;
      continue;
    }
    const Device device = t.device();
    *to++ = static_cast<std::int64_t>(t.sizes().size()) + 1;
    *to++ = reinterpret_cast<std::intptr_t>(t.data());
    *to++ = static_cast<std::int64_t>(t.dtype()) << 40 | static_cast<std::int64_t>(device.type) << 32 | static_cast<std::int64_t>(device.index);
    to = std::copy(t.sizes().begin(), t.sizes().end(), to);
    to = std::copy(t.strides().begin(), t.strides().end(), to);
  }
  return to;
}

}  // namespace

CallSignature::CallSignature(std::span<const Tensor> inputs, std::span<const Tensor> outputs) : words_(count_words(inputs) + count_words(outputs)) {
  write_words(outputs, write_words(inputs, words_.data()));
  for (const std::int64_t word : words_.span()) {
    hash_ = (hash_ ^ static_cast<std::uint64_t>(word)) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 32;
  }
  if (hash_ == 0) hash_ = 1;
}

void RememberedCall::note(const CallSignature& call, int profile) {
  words_.reserve(call.words().size());
  hash_ = seen_ == call.hash() ? call.hash() : 0;
  seen_ = call.hash();
  profile_ = profile;
  if (hash_ != 0) words_.assign(call.words().begin(), call.words().end());
}

}  // namespace reprise::exec
