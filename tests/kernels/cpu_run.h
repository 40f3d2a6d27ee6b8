// One step of the CPU's kernels over tensors, with operands that never change or are streamed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/op.h"
#include "kernels/kernel.h"
#include "reprise/tensor.h"

namespace reprise::kernels::test {

/// The names of the instruction sets that this machine has, "plain" first.
std::vector<std::string> machine_isas();

/// Kernels that are made in this scope use no more than that.
class IsaScope {
 public:
  explicit IsaScope(const std::string& name);
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;
  ~IsaScope();

 private:
  std::string before_;
};

/// The same elements with the channels innermost.
Tensor channels_last(const Tensor& t);

struct CpuRunOptions {
  int threads = 1;
  std::vector<int> fixed = {};  // inputs that never change
  bool streamed = false;        // of which the step finds its own form, or the plain one, in a slot
};

class CpuRun {
 public:
  explicit CpuRun(CpuRunOptions options) : options_(std::move(options)) {}

  /// A tensor as an operand; it must outlive the run. Those that begin at one address share a slot.
  OperandRef operand(const Tensor& tensor);
  using Make = std::function<std::unique_ptr<device::Step>(const StepSpec& spec)>;
  /// `make` may give null. All must outlive the run.
  void make(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, const Make& make);
  void run();

 private:
  CpuRunOptions options_;
  std::vector<void*> bindings_, fixed_;
  std::vector<OperandRef> inputs_, outputs_;
  std::vector<Packing> packings_;
  std::vector<Tensor> packed_;
  std::unique_ptr<device::Step> step_;
};

}  // namespace reprise::kernels::test
