// Calls told apart by where their tensors lie and how, so that the same call made again needs no look at its arguments.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "exec/inline_vector.h"
#include "reprise/tensor.h"

namespace reprise::exec {

/// Addresses, dtypes, devices, sizes and strides of a call's tensors.
class CallSignature {
 public:
  CallSignature(std::span<const Tensor> inputs, std::span<const Tensor> outputs);
  /// Never 0.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] std::span<const std::int64_t> words() const { return words_.span(); }

 private:
  InlineVector<std::int64_t, 128> words_;
  std::uint64_t hash_ = 0;
};

/// The call that a context is bound for, when it was made twice in a row and is nothing but its addresses.
class RememberedCall {
 public:
  [[nodiscard]] int profile() const { return profile_; }
  [[nodiscard]] bool is(const CallSignature& call) const {
    return hash_ == call.hash() && std::equal(words_.begin(), words_.end(), call.words().begin(), call.words().end());
  }
  /// Remembers it the second time. Allocates for a signature longer than those before.
  void note(const CallSignature& call, int profile);
  void forget() { hash_ = 0; }

 private:
  std::uint64_t hash_ = 0, seen_ = 0;  // 0: none
  int profile_ = 0;
  std::vector<std::int64_t> words_;
};

}  // namespace reprise::exec
