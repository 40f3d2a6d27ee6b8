// Foreign kernels on the library's side: which there are, and one of them with the shapes of a command.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel.h"
#include "reprise/foreign_kernel.h"

namespace reprise::kernels {

using ForeignKernelPtr = std::shared_ptr<const ForeignKernel>;

/// "mylib.foo.default" of "mylib::foo(Tensor x) -> Tensor". Throws InvalidArgument.
std::string foreign_target(std::string_view schema);
/// With its name filled in. Throws InvalidArgument for one that cannot work.
ForeignKernelPtr checked(ForeignKernel kernel);

/// Kernels by name. Immutable once shared.
class ForeignKernels {
 public:
  ForeignKernels() = default;
  /// All of the process's, and `own`, which come first.
  explicit ForeignKernels(std::span<const ForeignKernel> own);
  /// Null: there is none.
  [[nodiscard]] ForeignKernelPtr find(std::string_view name) const;
  /// In the order in which they were registered, the process's first.
  [[nodiscard]] const std::vector<ForeignKernelPtr>& all() const { return all_; }
  /// What to say of one that is not there.
  [[nodiscard]] static std::string missing(std::string_view name);

  // The process's. Thread safe.
  static void register_process_wide(ForeignKernel kernel);
  static bool unregister_process_wide(std::string_view name);

 private:
  std::vector<ForeignKernelPtr> all_;
};

/// A foreign command with bound shapes: what ForeignShapes and ForeignCall show. Immutable.
class BoundForeign {
 public:
  /// Throws FormatError when the command's attributes do not fit its operands.
  explicit BoundForeign(const StepSpec& spec);
  BoundForeign(const BoundForeign&) = delete;
  BoundForeign& operator=(const BoundForeign&) = delete;

  [[nodiscard]] const ForeignKernel& kernel() const { return *kernel_; }
  [[nodiscard]] bool measures() const { return measures_; }
  [[nodiscard]] std::span<const OperandRef> inputs() const { return inputs_; }
  /// Those that are an input's memory left out.
  [[nodiscard]] std::span<const OperandRef> outputs() const { return outputs_; }
  [[nodiscard]] bool writes_input(std::size_t index) const { return written_[index]; }
  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_bytes_; }
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] const std::string& node() const { return node_; }

  /// Operands of a tensor parameter.
  [[nodiscard]] std::span<const OperandRef> of(std::string_view parameter) const;
  using Value = std::variant<bool, std::int64_t, double, std::string, DType, std::vector<std::int64_t>, std::vector<double>>;
  /// Null: None, or no such parameter.
  [[nodiscard]] const Value* argument(std::string_view parameter) const;

 private:
  void read_attributes(const BoundAttrs& attrs);

  ForeignKernelPtr kernel_;
  std::string node_;
  std::vector<OperandRef> inputs_, outputs_;
  std::vector<bool> written_;  // by input
  bool measures_ = false;
  int threads_ = 1;
  std::map<std::string, std::pair<std::size_t, std::size_t>, std::less<>> parameters_;  // first operand and how many
  std::map<std::string, Value, std::less<>> arguments_;
  std::size_t workspace_bytes_ = 0;
};

/// Calls a function of a kernel; what it throws that is no Error becomes one.
void call_foreign(const ForeignFunction& function, const ForeignCall& call, const BoundForeign& bound);

/// The step of a device whose memory the host reads. Throws UnsupportedOp for a kernel without a host function.
std::unique_ptr<device::Step> make_host_foreign_step(const StepSpec& spec);

}  // namespace reprise::kernels
