// Products and convolutions, with what follows them that a kernel computes where it stores.
#pragma once

#include <memory>
#include <optional>

#include "kernels/epilogue_form.h"
#include "kernels/kernel.h"

namespace reprise::kernels::cpu {

using StepPtr = std::unique_ptr<device::Step>;

struct Contraction {
  StepSpec spec;                                 // without the epilogue
  const OperandRef* addend = nullptr;            // added to the result
  Activation activation = Activation::identity;  // of the sum

  /// With the whole epilogue, which the attributes hold. nullopt: a function that has no name.
  static std::optional<Contraction> fused(const StepSpec& spec);
  /// What is added lies where the result goes.
  [[nodiscard]] bool is_in_place() const { return addend != nullptr && addend->slot == spec.outputs.front().slot; }
};

/// A weight: its content never changes (StepSpec::fixed).
bool is_fixed(const StepSpec& spec, const OperandRef& w);

}  // namespace reprise::kernels::cpu
