#include "kernels/cpu_variants.h"

#include "kernels/cpu/step_maker.h"
#include "kernels/cpu_run.h"
#include "kernels/support.h"

namespace reprise::kernels::test {

void run_variants(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                  const std::function<void(const std::string&)>& check) {
  static const StepMaker make = cpu::step_maker();
  for (const std::string& isa : machine_isas()) {
    const IsaScope scope(isa);
    for (const int threads : {1, 2, 3}) {
      for (const Tensor& y : outputs) tensor::copy_into(y, Tensor::zeros(y.sizes(), y.dtype()));
      CpuRun run({.threads = threads});
      run.make(op, attrs, inputs, outputs, make);
      run.run();
      check(isa + ", " + std::to_string(threads) + " threads");
    }
  }
}

void check_variants(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, double tolerance,
                    const std::string& what) {
  std::vector<Tensor> wide_inputs, wide_outputs;
  std::vector<Values> expected;
  for (const Tensor& x : inputs) wide_inputs.push_back(is_floating(x.dtype()) ? x.to(DType::f64) : x);
  for (const Tensor& y : outputs) wide_outputs.push_back(Tensor::zeros(y.sizes(), is_floating(y.dtype()) ? DType::f64 : y.dtype()));
  run_reference(op, attrs, wide_inputs, wide_outputs);
  for (const Tensor& y : wide_outputs) expected.push_back(values(y));
  run_variants(op, attrs, inputs, outputs, [&](const std::string& variant) {
    for (std::size_t i = 0; i < outputs.size(); ++i) expect_near(outputs[i], expected[i], tolerance, what + " " + variant);
  });
}

std::string cpu_kernel(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  std::vector<std::string> names;
  CpuRun run({.threads = 1});
  run.make(op, attrs, inputs, outputs, [&](const StepSpec& spec) {
    names = cpu::make_ahead_of_time()->describe(spec).names;
    return cpu::step_maker()(spec);
  });
  return names.at(0);
}

}  // namespace reprise::kernels::test
