// One op on a device, from and to host tensors: what makes the kernel tests those of every device.
//
// With REPRISE_TEST_DEVICE=cuda:0 in the environment all ops of the kernel tests run there; with REPRISE_TEST_ARCHITECTURE=sm_90a their CUDA kernels are
// compiled for a GPU that need not be there, and the reference kernels give the values.
#pragma once

#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/op.h"
#include "reprise/tensor.h"

namespace reprise::kernels::test {

void run_on_device(const std::string& device, core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs);
void compile_offline(const std::string& architecture, core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs,
                     const std::vector<Tensor>& outputs);

}  // namespace reprise::kernels::test
