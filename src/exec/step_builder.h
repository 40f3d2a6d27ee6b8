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

/// A weight that is copied into a slot for a command that reads it there; or that the command reads where a file holds the form that it wants.
struct WeightCopy {
  int slot = -1;
  plan::BufferId weight = -1;
  std::size_t bytes = 0;                                       // in the slot
  std::function<void(const void* weight, void* packed)> pack;  // empty: as it lies
  const std::byte* stored = nullptr;                           // null: it is copied
};

struct BuiltStep {
  std::unique_ptr<device::Step> step;
  std::vector<WeightCopy> copies;
};

class StepBuilder {
 public:
  /// `capacity`: bytes behind every buffer. All must outlive the builder; none must change while it builds.
  StepBuilder(const Executable& executable, const SymbolValues& values, std::span<const std::size_t> capacity)
      : executable_(executable), values_(values), capacity_(capacity) {}

  /// `weights`: those that are not where the device computes are read from binding slots of their own, the command's first behind Executable::slot_count() and
  /// `first_copy` others. Throws Error when an operand reaches outside its buffer, and what the kernel throws.
  [[nodiscard]] BuiltStep build(const plan::Command& command, const WeightSet& weights, int first_copy) const;

  /// A command with its shapes bound, as kernels take it. The builder must outlive it.
  class Bound {
   public:
    /// Throws Error when an operand reaches outside its buffer.
    Bound(const StepBuilder& builder, const plan::Command& command);
    Bound(const Bound&) = delete;
    Bound& operator=(const Bound&) = delete;
    [[nodiscard]] const kernels::StepSpec& spec() const { return spec_; }
    /// Has operands name the slots of their copies (StepBuilder::build).
    void redirect(const Executable& executable, const WeightSet& weights, int first_copy);
    /// After a kernel was made.
    [[nodiscard]] std::vector<WeightCopy> take_copies();

   private:
    /// Tells a device's kernels which operands are weights that stay where they are.
    void fix_weights(const Executable& executable);

    std::vector<kernels::OperandRef> inputs_, outputs_;
    kernels::BoundAttrs attrs_;
    kernels::StepSpec spec_;
    std::vector<WeightCopy> copies_;
    std::vector<kernels::Packing> packings_;
    std::vector<void*> fixed_;
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
