// Commands to steps: shapes evaluated, operands checked against their buffers, kernels chosen.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "device/command_list.h"
#include "exec/executable.h"
#include "exec/symbol_values.h"

namespace reprise::exec {

class StepBuilder {
 public:
  /// `capacity`: bytes behind every buffer. All must outlive the builder; none must change while it builds.
  StepBuilder(const Executable& executable, const SymbolValues& values, std::span<const std::size_t> capacity)
      : executable_(executable), values_(values), capacity_(capacity) {}

  /// Throws Error when an operand reaches outside its buffer, and what the kernel throws.
  [[nodiscard]] std::unique_ptr<device::Step> build(const plan::Command& command) const;

  /// A command with its shapes bound, as kernels take it. The builder must outlive it.
  class Bound {
   public:
    /// Throws Error when an operand reaches outside its buffer.
    Bound(const StepBuilder& builder, const plan::Command& command);
    Bound(const Bound&) = delete;
    Bound& operator=(const Bound&) = delete;
    [[nodiscard]] const kernels::StepSpec& spec() const { return spec_; }

   private:
    std::vector<kernels::OperandRef> inputs_, outputs_;
    kernels::BoundAttrs attrs_;
    kernels::StepSpec spec_;
  };

 private:
  [[nodiscard]] std::vector<kernels::OperandRef> bind(const plan::Command& command, std::span<const plan::Operand> operands) const;
  [[nodiscard]] kernels::OperandRef bind(const plan::Command& command, const plan::Operand& operand) const;
  void check_inside(const plan::Command& command, const kernels::OperandRef& ref) const;

  const Executable& executable_;
  const SymbolValues& values_;
  std::span<const std::size_t> capacity_;
};

/// The most that a data-dependent command can count, from its inputs' sizes; nullopt when they do not tell.
std::optional<std::int64_t> count_bound(const plan::Command& command, const SymbolValues& values);

}  // namespace reprise::exec
