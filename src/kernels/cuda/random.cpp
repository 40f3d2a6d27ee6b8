#include <memory>

#include "device/cuda/driver.h"
#include "device/cuda/memory.h"
#include "kernels/cuda/dims.h"
#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

/// How often a step ran: a word on the GPU that its runs count up.
class RunCounter {
 public:
  explicit RunCounter(Gpu& gpu) : gpu_(&gpu) {
    const device::cuda::CurrentContext current(gpu.context());
    const device::cuda::Driver& cuda = device::cuda::driver();
    word_ = gpu.memory().allocate(sizeof(std::uint64_t));
    CUstream stream = nullptr;  // one of its own: the default one would wait for others
    device::cuda::check(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "clearing a counter");
    device::cuda::check(cuda.cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(word_), 0, sizeof(std::uint64_t), stream), "clearing a counter");
    device::cuda::check(cuda.cuStreamSynchronize(stream), "clearing a counter");
    cuda.cuStreamDestroy(stream);
  }
  RunCounter(const RunCounter&) = delete;
  RunCounter& operator=(const RunCounter&) = delete;
  ~RunCounter() {
    const device::cuda::CurrentContext current(gpu_->context());
    gpu_->memory().deallocate(word_);
  }
  [[nodiscard]] const void* word() const { return word_; }

 private:
  Gpu* gpu_;
  void* word_ = nullptr;
};

}  // namespace

StepPtr make_random(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 0, 1, 1);
  const OperandRef& y = spec.outputs[0];
  const auto& text = spec.attrs->text("kind");
  check(text == "uniform" || text == "normal" || text == "integers", spec, "unknown kind");
  const char* kind = text == "uniform" ? "kUniform" : text == "normal" ? "kNormal" : "kIntegers";
  if (y.numel() == 0) return make_empty_step();
  const bool wide = needs_wide({&y});
  const auto key = spec.attrs->has("seed_slot") ? spec.attrs->integer("seed_slot") : std::int64_t{0};
  const double low = spec.attrs->real("low"), high = spec.attrs->real("high");
  TextKernel draw = request(gpu, "random.cuh", fmt::format("draw<{}, {}, {}>", type_name(y.dtype), kind, index_type(wide)));
  TextKernel count = request(gpu, "random.cuh", "count_run");
  auto counter = std::make_shared<std::unique_ptr<RunCounter>>();
  return make_step(0, [=, &gpu, y = spec.outputs[0]](Operations& ops, int) {
    *counter = std::make_unique<RunCounter>(gpu);
    Arguments arguments;
    arguments.out(y).fixed((*counter)->word()).value(y.numel()).value(key).value(low).value(high);
    Dims({&y}, all_dims(y.rank)).put(arguments, wide);
    launch_each(ops, draw, y.numel(), arguments);
    // Behind the draw, by way of what that writes.
    launch(ops, count, {}, Arguments().fixed((*counter)->word()).also(access(y, true)));
  });
}

}  // namespace reprise::kernels::cuda
