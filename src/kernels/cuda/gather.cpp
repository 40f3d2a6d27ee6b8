// gather and index: reading where indices point.
#include "kernels/cuda/factories.h"
#include "kernels/cuda/indexing.h"

namespace reprise::kernels::cuda {
namespace {

StepPtr read_step(Gpu& gpu, const StepSpec& spec, const Indexing& indexing) {
  if (indexing.list.numel() == 0) return make_empty_step();
  const std::int64_t width = indexing.pack_width(), item = static_cast<std::int64_t>(item_size(indexing.table.dtype));
  const Indexing ix = indexing.widened(width);
  TextKernel kernel = request(gpu, "indexing.cuh", fmt::format("read_blocks<{}, {}>", bits_type(item * width), ix.types()));
  return make_step(0, [=, name = spec.name](Operations& ops, int) {
    Arguments arguments;
    arguments.in(ix.table).out(ix.list);
    ix.put(arguments, ops, name);
    launch_each(ops, kernel, ix.count() * ix.block(), arguments);
  });
}

}  // namespace

StepPtr make_gather(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 2, 1, 1);
  return read_step(gpu, spec, index_elements(spec, spec.inputs[0], spec.inputs[1], spec.outputs[0]));
}

StepPtr make_index(Gpu& gpu, const StepSpec& spec) {
  check(spec.inputs.size() >= 2 && spec.outputs.size() == 1, spec, "wrong number of operands");
  return read_step(gpu, spec, index_blocks(spec, spec.inputs[0], spec.outputs[0], spec.inputs.subspan(1)));
}

}  // namespace reprise::kernels::cuda
