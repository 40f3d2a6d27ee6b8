// A convolution and what follows it, described to cuDNN.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_library.h"
#include "kernels/cuda/epilogue.h"

namespace reprise::kernels::cuda {

/// The descriptors of one operation graph. They must outlive its plans.
class CudnnGraph {
 public:
  /// `fused`: with bias and epilogue; else the conv alone. Null: the epilogue has operations that cuDNN's graphs lack. Throws DeviceError where cuDNN refuses
  /// the description.
  static std::shared_ptr<const CudnnGraph> make(CudnnLibrary& library, const SplitSpec& conv, bool fused);

  /// The ids of its operands. A graph serves every layer with these shapes: an id tells which of a layer's operands it stands for.
  [[nodiscard]] const std::vector<std::int64_t>& arguments() const { return arguments_; }
  static const OperandRef& operand(const SplitSpec& conv, std::int64_t id);
  [[nodiscard]] const CudnnDescriptor& descriptor() const { return descriptors_.back(); }
  /// Numbers that pass by value, with their ids.
  struct Constant {
    std::int64_t id = 0;
    float value = 0;
  };
  [[nodiscard]] const std::vector<std::unique_ptr<Constant>>& constants() const { return constants_; }

 private:
  friend class CudnnGraphBuilder;
  std::vector<CudnnDescriptor> descriptors_;  // the operation graph last
  std::vector<std::int64_t> arguments_;
  std::vector<std::unique_ptr<Constant>> constants_;
};

}  // namespace reprise::kernels::cuda
