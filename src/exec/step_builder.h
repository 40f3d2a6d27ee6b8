// Commands to steps: shapes evaluated, operands checked against their buffers, kernels chosen.
#pragma once

#include <cstdint>
#include <functional>
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
  /// What `build` asks the kernels for. The spec lives as long as the call of `use`.
  void describe(const plan::Command& command, const std::function<void(const kernels::StepSpec&)>& use) const;

 private:
  [[nodiscard]] std::vector<kernels::OperandRef> bind(const plan::Command& command, std::span<const plan::Operand> operands) const;
  [[nodiscard]] kernels::OperandRef bind(const plan::Command& command, const plan::Operand& operand) const;
  void check_inside(const plan::Command& command, const kernels::OperandRef& ref) const;

  const Executable& executable_;
  const SymbolValues& values_;
  std::span<const std::size_t> capacity_;
};

/// Describes every command of `executable` whose shapes inputs alone decide, at the sizes that `symbols` (Plan::symbols order) give.
void describe_steps(const Executable& executable, std::span<const std::int64_t> symbols, const std::function<void(const kernels::StepSpec&)>& use);

/// The most that a data-dependent command can count, from its inputs' sizes; nullopt when they do not tell.
std::optional<std::int64_t> count_bound(const plan::Command& command, const SymbolValues& values);

}  // namespace reprise::exec
