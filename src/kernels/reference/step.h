// What every factory needs: a step made of a lambda, and checks of operands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/check.h"
#include "kernels/reference/factories.h"

namespace reprise::kernels::reference {

/// Sizes of scratch parts are rounded up to this, so that every part stays aligned.
constexpr std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

/// A step that calls `run(bindings, scratch)`.
template <class Run>
StepPtr make_step(std::size_t scratch_bytes, Run run) {
  class RunStep final : public device::Step {
   public:
    RunStep(std::size_t scratch, Run body) : run_(std::move(body)), scratch_bytes_(scratch) {}
    void run(void* const* bindings) const override { run_(bindings, scratch_bytes_ == 0 ? nullptr : static_cast<std::byte*>(bindings[scratch_slot()])); }
    [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_bytes_; }

   private:
    Run run_;
    std::size_t scratch_bytes_;
  };
  return std::make_unique<RunStep>(scratch_bytes, std::move(run));
}

/// A step that needs no scratch: `run(bindings)`.
template <class Run>
StepPtr make_step(Run run) {
  return make_step(0, [run = std::move(run)](void* const* bindings, std::byte*) { run(bindings); });
}

/// Throws InvalidArgument "[kernels/<name>] <what>" unless `holds`.
inline void check(bool holds, const StepSpec& spec, const char* what) {
  REPRISE_CHECK(holds, InvalidArgument, "[kernels/{}] {}: {}", spec.name, core::name(spec.op), what);
}

inline void check_counts(const StepSpec& spec, std::size_t inputs, std::size_t min_outputs, std::size_t max_outputs) {
  REPRISE_CHECK(spec.inputs.size() == inputs && spec.outputs.size() >= min_outputs && spec.outputs.size() <= max_outputs, InvalidArgument,
                "[kernels/{}] {}: wrong number of operands (got {} inputs and {} outputs, want {} and {} to {})", spec.name, core::name(spec.op),
                spec.inputs.size(), spec.outputs.size(), inputs, min_outputs, max_outputs);
}

inline bool same_shape(const OperandRef& a, const OperandRef& b) {
  return a.rank == b.rank && std::equal(a.shape().begin(), a.shape().end(), b.shape().begin());
}

/// An axis attribute, already wrapped or counted from the end.
inline int axis_of(const StepSpec& spec, std::int64_t axis, int rank) {
  if (axis < 0) axis += rank;
  check(axis >= 0 && axis < rank, spec, "axis is out of range");
  return static_cast<int>(axis);
}

}  // namespace reprise::kernels::reference
