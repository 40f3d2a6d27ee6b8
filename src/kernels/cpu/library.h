// A library of kernels that this build has, or none.
#pragma once

#include <memory>
#include <string_view>

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// Thread safe. Steps may outlive it.
class Library {
 public:
  virtual ~Library() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Null: it has no fast kernel for this.
  virtual StepPtr make_contraction(const Contraction& contraction) = 0;
  /// Of another op. Null: as above.
  virtual StepPtr make_other(const StepSpec& spec) = 0;
};

/// Null: built without one.
std::unique_ptr<Library> open_library();

}  // namespace reprise::kernels::cpu
