// A library of kernels that this build has, or none.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// Thread safe. Steps may outlive it.
class Library {
 public:
  virtual ~Library() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::string version() const = 0;
  /// `variant`: one of `variants`, or empty for what is likely the best. Null: it has no fast kernel for this, or the variant is what it would take anyway.
  virtual StepPtr make_contraction(const Contraction& contraction, std::string_view variant = {}) = 0;
  /// Other ways worth measuring.
  [[nodiscard]] virtual std::vector<std::string> variants(const Contraction& contraction) const = 0;
  /// Of another op. Null: as above.
  virtual StepPtr make_other(const StepSpec& spec) = 0;
};

/// Null: built without one.
std::unique_ptr<Library> open_library();

}  // namespace reprise::kernels::cpu
