// What stands behind a BoundCall.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "runtime/module_impl.h"

namespace reprise {

struct BoundCall::Impl {
  Impl(std::shared_ptr<Module::Impl> on, std::span<const Tensor> in, std::span<const Tensor> out);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { module->pool.disown(id); }
  /// `stream`: null: waits.
  void run(device::Stream* stream);

  const std::shared_ptr<Module::Impl> module;
  const std::vector<Tensor> inputs, outputs;
  const std::uint64_t id;  // the owner of its contexts

 private:
  [[nodiscard]] bool run_in_place(device::Stream* stream);
  void bind_and_run(device::Stream* stream, bool only_bind);

  std::vector<std::int64_t> symbols_;  // the call's shape key, and the profile that serves it
  std::atomic<int> profile_ = 0;
};

}  // namespace reprise
