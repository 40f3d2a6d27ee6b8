// Kernels: what turns a command with bound shapes into a step that a command list can hold.
//
// `make_step` does everything that depends on shapes (strategy, blocking, tables, parameter packing); a step's `run` allocates nothing, looks nothing up and
// may be called from several threads at once with different bindings.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/op.h"
#include "device/command_list.h"
#include "reprise/dtype.h"
#include "reprise/tensor.h"

namespace reprise {
struct ForeignKernel;
}

namespace reprise::kernels {

inline constexpr int kMaxRank = 16;

/// A tensor with its shape bound: a strided window of binding slot `slot`.
struct OperandRef {
  DType dtype = DType::f32;
  int slot = -1;
  int rank = 0;
  std::array<std::int64_t, kMaxRank> sizes{}, strides{};  // elements
  std::int64_t offset = 0;                                // elements from the slot's address

  [[nodiscard]] std::int64_t numel() const;
  [[nodiscard]] bool is_contiguous() const;
  [[nodiscard]] std::span<const std::int64_t> shape() const { return {sizes.data(), static_cast<std::size_t>(rank)}; }
  /// Address of the first element under `bindings`.
  [[nodiscard]] std::byte* at(void* const* bindings) const {
    return static_cast<std::byte*>(bindings[slot]) + offset * static_cast<std::int64_t>(item_size(dtype));
  }
};

/// Attributes with every symbolic integer evaluated.
class BoundAttrs {
 public:
  using Eval = std::function<sym::Number(const sym::Expr&)>;
  BoundAttrs(const core::Attrs& attrs, Eval eval) : attrs_(&attrs), eval_(std::move(eval)) {}
  [[nodiscard]] const core::Attrs& unbound() const { return *attrs_; }
  [[nodiscard]] bool has(std::string_view key) const { return attrs_->has(key); }
  [[nodiscard]] bool flag(std::string_view key) const { return attrs_->flag(key); }
  [[nodiscard]] bool flag(std::string_view key, bool fallback) const { return attrs_->flag(key, fallback); }
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  [[nodiscard]] double real(std::string_view key) const;
  [[nodiscard]] const std::string& text(std::string_view key) const { return attrs_->text(key); }
  [[nodiscard]] std::vector<std::int64_t> ints(std::string_view key) const;
  [[nodiscard]] const std::vector<double>& reals(std::string_view key) const { return attrs_->reals(key); }
  [[nodiscard]] const core::ScalarProgram& program(std::string_view key) const { return *attrs_->program(key); }
  [[nodiscard]] sym::Number eval(const sym::Expr& e) const { return eval_(e); }  // a ScalarProgram's symbols
  /// fill's value, iota's start and step: bool, integer or real.
  [[nodiscard]] sym::Number number(std::string_view key) const;

 private:
  const core::Attrs* attrs_;
  Eval eval_;
};

class StoredForms;

/// The form in which a kernel wants a weight that is streamed.
struct Packing {
  int slot = -1;
  std::size_t bytes = 0;                                       // of the packed form
  std::function<void(const void* weight, void* packed)> pack;  // from what StepSpec::fixed names; thread safe
  std::int64_t offset_bytes = 0;                               // from there to what it packs
  std::string form = {};                                       // tells all that the result depends on besides the weight; empty: nothing does
};

struct StepSpec {
  core::Op op = core::Op::copy;
  std::span<const OperandRef> inputs, outputs;
  const BoundAttrs* attrs = nullptr;
  int threads = 1;   // how many the step may use
  std::string name;  // for messages
  /// By slot: the address of memory whose content never changes (weights), which outlives the steps; null elsewhere, and beyond the end.
  std::span<void* const> fixed = {};
  /// `fixed` memory of these slots is streamed: the slot's address holds it only while the step runs, as it lies, or as the kernel asks for in `packings` (not
  /// null then).
  int first_streamed_slot = std::numeric_limits<int>::max();
  std::vector<Packing>* packings = nullptr;
  /// Where packed forms of `fixed` memory lie that need not be made (kernels/stored_forms.h); they outlive the steps. Null: none.
  const StoredForms* stored = nullptr;
  /// Of a foreign op.
  std::shared_ptr<const ForeignKernel> foreign = nullptr;
};

/// An input and an output with the same slot, offset, sizes and strides may be the same memory (re-inplaced scatter, index_put, write_view, pointwise, on the
/// host an epilogue's summand): kernels skip copying the base then. No other overlap. Scratch: `Step::scratch_bytes()` bytes, aligned to 64, `scratch_slot`.
using StepMaker = std::function<std::unique_ptr<device::Step>(const StepSpec&)>;

/// The reference back end: one plain kernel per core op, every dtype, any strides. Throws UnsupportedOp for control ops (cond, while_loop, write), which the
/// executor runs itself, and for foreign ones without a host function, InvalidArgument for operands that break core/op.h.
std::unique_ptr<device::Step> make_reference_step(const StepSpec& spec);

/// Runs one op on CPU tensors at once: what the constant folder and tests use. `outputs` are allocated by the caller.
void run_reference(core::Op op, const core::Attrs& attrs, std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads = 1);

}  // namespace reprise::kernels
