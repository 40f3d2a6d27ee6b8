// What a caller passes, checked against the signature. Shapes are the binder's matter.
#pragma once

#include <cstddef>
#include <span>

#include "exec/inline_vector.h"
#include "exec/input_binder.h"
#include "plan/plan.h"
#include "reprise/module.h"

namespace reprise::runtime {

/// One per signature input; constants stay empty. Refers to the caller's tensors.
using InputValues = exec::InlineVector<exec::InputValue, 16>;

/// Which inputs a call takes: those in the memory of `device` and the host's, or of any device (multi-device safe mode).
struct Placement {
  Device device;
  bool anywhere = false;
};

/// Arguments stand for all inputs or for all but the constants. Throws InvalidArgument: count, kind, dtype, device, a constant that differs.
InputValues check_arguments(const plan::Plan& plan, Placement placement, std::span<const Argument> arguments);
/// Tensors stand for all inputs but the constants; an integer input may be any 0-d integer tensor on the CPU.
InputValues check_arguments(const plan::Plan& plan, Placement placement, std::span<const Tensor> arguments);

/// Python's text of a constant: None, True, 3, 0.5, 'text'.
std::string constant_text(const plan::ConstantValue& value);

}  // namespace reprise::runtime
