// Kernels on a GPU.
//
// How a kernel is added:
//   1. Its text in `text/<name>.cuh` (CUDA C++ for NVRTC: run-time dimensions, templates or -D for dtypes; includes "prelude.cuh" and other texts only), or,
//   for
//      what needs CUB, a function in a `.cu` file that enqueues to a stream.
//   2. A factory in `<name>.cpp`: checks the operands against core/op.h, requests its program (compiled in the background from then on), and returns
//      `make_step(scratch_bytes, [=](Operations& ops, int scratch_slot) { launch(ops, kernel, {…}, Arguments().in(x).out(y).value(n)); })`.
//      A factory that does not take these operands (a dtype, a shape) returns null: the next one in the list is asked.
//   3. A line in factories.h and one in registry.cpp.
//   4. Nothing for the tests: tests/kernels and the op samples run on every device. Benchmarks beside the libraries go to bench/.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "device/cuda/gpu.h"
#include "device/cuda/operations.h"
#include "kernels/kernel.h"

namespace reprise::kernels::cuda {

using device::cuda::Access;
using device::cuda::Extent;
using device::cuda::Gpu;
using device::cuda::Kernel;
using device::cuda::Operations;
using device::cuda::Place;
using StepPtr = std::unique_ptr<device::Step>;

/// The bytes that an operand touches, in its slot.
Access access(const OperandRef& operand, bool write);
/// Its first element.
Place place(const OperandRef& operand);

/// A kernel's parameters in the order of its declaration, each at its natural alignment.
class Arguments {
 public:
  // A pointer to the operand's first element.
  Arguments& in(const OperandRef& operand) { return pointer(place(operand), access(operand, false)); }
  Arguments& out(const OperandRef& operand) { return pointer(place(operand), access(operand, true)); }
  /// A pointer to what `access` says, which must begin at `at`.
  Arguments& pointer(Place at, Access access);
  /// What the operation touches besides what its pointers say (a kernel that also reads what it writes needs none: a write orders both).
  Arguments& also(Access access);
  /// Those of `other` behind these; both begin at a multiple of 8 bytes.
  Arguments& append(const Arguments& other);
  /// A pointer that never changes: the step's own memory, a fault word.
  Arguments& fixed(const void* address) { return value(address); }
  template <class T>
  Arguments& value(const T& v) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(room(sizeof(T), alignof(T)), &v, sizeof(T));
    return *this;
  }

 private:
  friend void launch(Operations&, const Kernel&, const struct LaunchShape&, Arguments);
  std::byte* room(std::size_t bytes, std::size_t alignment);

  std::vector<std::byte> bytes_;
  std::vector<device::cuda::Patch> patches_;
  std::vector<Access> accesses_;
};

struct LaunchShape {
  Extent grid, block;
  unsigned shared_bytes = 0;
  Extent cluster = {};
  bool programmatic = false;  // see KernelLaunch
};

/// Kernels that say wait_for_earlier_kernels() may be launched programmatically there.
inline bool starts_early(const Gpu& gpu) { return gpu.info().major >= 9; }

/// Adds a kernel to a step's operations. Waits until it is compiled.
void launch(Operations& operations, const Kernel& kernel, const LaunchShape& shape, Arguments arguments);

/// Blocks of `threads` for `items` (at least one block); throws ShapeError beyond what a grid can have.
unsigned blocks_for(std::int64_t items, unsigned threads);

/// A step that describes itself by `describe(operations, scratch_slot)`.
template <class Describe>
StepPtr make_step(std::size_t scratch_bytes, Describe describe) {
  class DescribedStep final : public device::cuda::CudaStep {
   public:
    DescribedStep(std::size_t scratch, Describe body) : describe_(std::move(body)), scratch_bytes_(scratch) {}
    void describe(Operations& operations) const override { describe_(operations, scratch_slot()); }
    [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_bytes_; }

   private:
    Describe describe_;
    std::size_t scratch_bytes_;
  };
  return std::make_unique<DescribedStep>(scratch_bytes, std::move(describe));
}

/// A step that does nothing (an empty output).
StepPtr make_empty_step();

/// The type of a dtype in the texts: "f16_t", "i64_t" (prelude.cuh).
std::string type_name(DType dtype);

/// Throws InvalidArgument "[kernels/<name>] <op>: <what>" unless `holds`.
inline void check(bool holds, const StepSpec& spec, const char* what) {
  REPRISE_CHECK(holds, InvalidArgument, "[kernels/{}] {}: {}", spec.name, core::name(spec.op), what);
}
void check_counts(const StepSpec& spec, std::size_t inputs, std::size_t min_outputs, std::size_t max_outputs);
bool same_shape(const OperandRef& a, const OperandRef& b);
/// An axis counted from the front; throws InvalidArgument when it is out of range.
int axis_of(const StepSpec& spec, std::int64_t axis, int rank);

/// The step for an op on a GPU: the first factory of registry.cpp that takes it. Throws UnsupportedOp when none does.
StepPtr make_cuda_step(Gpu& gpu, const StepSpec& spec);

}  // namespace reprise::kernels::cuda
