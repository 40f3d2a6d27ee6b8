// Steps that make values from nothing, that make errors, and that only mark what the executor reads.
#include <fmt/format.h>

#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;

}  // namespace

StepPtr make_iota(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 0, 1, 1);
  const OperandRef y = spec.outputs[0];
  check(y.rank == 1, spec, "the result must have one dimension");
  if (y.numel() == 0) return make_empty_step();
  const auto start = spec.attrs->number("start"), step = spec.attrs->number("step");
  const bool exact = !start.is_real && !step.is_real;
  const Kernel kernel = gpu.programs().request(
      {.text = "#include \"iota.cuh\"\n", .entry = fmt::format("iota<{}, {}>", type_name(y.dtype), exact ? "i64_t" : "f64_t"), .options = {"--fmad=false"}});
  Arguments arguments;
  arguments.out(y).value(y.sizes[0]).value(y.strides[0]);
  if (exact)
    arguments.value(start.integer).value(step.integer);
  else
    arguments.value(start.as_real()).value(step.as_real());
  return make_step(0, [=, blocks = blocks_for(y.numel(), kThreads)](Operations& operations, int) {
    launch(operations, kernel, {.grid = {blocks}, .block = {kThreads}}, arguments);
  });
}

StepPtr make_check(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 0, 0);
  const OperandRef x = spec.inputs[0];
  check(x.dtype == DType::boolean && x.numel() == 1, spec, "the operand must be one boolean");
  const Kernel kernel = gpu.programs().request({.text = "#include \"check.cuh\"\n", .entry = "check"});
  return make_step(0, [=, message = spec.attrs->text("message"), name = spec.name](Operations& operations, int) {
    const auto* fault = operations.fault([=](std::uint64_t) { REPRISE_FAIL(ShapeError, "[run/{}] {}", name, message); });
    launch(operations, kernel, {}, Arguments().in(x).fixed(fault));
  });
}

StepPtr make_item(Gpu&, const StepSpec& spec) {
  check_counts(spec, 1, 0, 0);
  check(spec.inputs[0].numel() == 1, spec, "the operand must have one element");
  return make_empty_step();
}

}  // namespace reprise::kernels::cuda
