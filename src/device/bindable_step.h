// Steps that gain from knowing their addresses before they run.
#pragma once

#include <memory>

#include "device/command_list.h"

namespace reprise::device {

/// A step with its addresses filled in: what a recording on the CPU replays. One run at a time. The step must outlive it.
class BoundStep {
 public:
  virtual ~BoundStep() = default;
  /// Fills in other addresses.
  virtual void bind(void* const* bindings) = 0;
  /// As Step::run over the bindings of the last `bind`, without taking, looking up or allocating anything.
  virtual void run() = 0;
};

class BindableStep : public Step {
 public:
  [[nodiscard]] virtual std::unique_ptr<BoundStep> make_bound() const = 0;
};

}  // namespace reprise::device
