// What follows a contraction in the same command: y = epilogue(a b + bias, e_0, e_1, …), element by element (core/op.h). Kernels that can compute it where they
// store their sums do; behind others it runs as a pointwise kernel over y.
#pragma once

#include <memory>
#include <vector>

#include "core/scalar_program.h"
#include "kernels/cuda/gemm.h"
#include "kernels/epilogue_form.h"

namespace reprise::kernels::cuda {

struct Epilogue {
  core::ScalarProgramPtr program;    // none: nothing follows
  std::vector<OperandRef> operands;  // its inputs after the first, which is the contraction's result
  EpilogueForm form;

  explicit operator bool() const { return program != nullptr; }
};

/// The epilogue of a matmul or conv and the operands without it.
struct SplitSpec {
  StepSpec spec;
  Epilogue epilogue;
};
SplitSpec split_epilogue(const StepSpec& spec);

/// As the text of a kernel's Finish. Operands must lie as y does.
Finish finish_of(const Epilogue& epilogue);
/// Every operand has y's strides, so that finish_of will do.
bool lies_as(const Epilogue& epilogue, const OperandRef& y);

/// `contraction` (which writes `y`), then the epilogue over y. The contraction itself where nothing follows.
StepPtr followed_by(Gpu& gpu, StepPtr contraction, const Epilogue& epilogue, const StepSpec& spec);

}  // namespace reprise::kernels::cuda
