// One op by the kernels of the CPU device, in every variant that the machine has.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/op.h"
#include "reprise/tensor.h"

namespace reprise::kernels::test {

/// Runs the op with every instruction set and 1, 2 and 3 threads and calls check("avx2, 3 threads") after each.
void run_variants(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                  const std::function<void(const std::string&)>& check);

/// As above; each output must be what the reference kernel gives for reals in f64, within `tolerance` · its largest value.
void check_variants(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, double tolerance,
                    const std::string& what = "");

/// What the CPU device takes for the op: "cpu" for a kernel of ours.
std::string cpu_kernel(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs);

}  // namespace reprise::kernels::test
