#include "device/cuda/command_list.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>

#include "base/check.h"
#include "device/cuda/copy_lane.h"
#include "device/cuda/memory.h"
#include "device/fetch.h"

namespace reprise::device::cuda {
namespace {

struct HostClosure {
  const Step* step;
  void* const* bindings;
  HostErrors* errors;
};

void CUDA_CB run_host_step(void* data) {
  const std::unique_ptr<HostClosure> closure(static_cast<HostClosure*>(data));
  closure->errors->run(*closure->step, closure->bindings);
}

/// Launches operations into a stream.
class Launcher {
 public:
  /// `fence`: an event for what must not start early.
  Launcher(CudaStream& stream, void* const* bindings, CUevent fence) : stream_(stream), bindings_(bindings), fence_(fence) {}
  void operator()(const KernelLaunch& launch);
  void operator()(const MemoryCopy& copy) {
    check(driver().cuMemcpyAsync(address(copy.to, bindings_), address(copy.from, bindings_), copy.bytes, stream_.get()), "copying memory");
  }
  void operator()(const MemoryFill& fill) { fill_memory(address(fill.to, bindings_), fill.value, fill.width, fill.count, stream_.get()); }
  void operator()(const LibraryCall& call) {
    // A kernel starts early behind another kernel, and behind nothing else.
    if (!call.early) check(driver().cuEventRecord(fence_, stream_.get()), "recording an event");
    call.enqueue(stream_.get(), bindings_);
  }
  void operator()(const HostCall& call);

 private:
  CudaStream& stream_;
  void* const* bindings_;
  CUevent fence_;
  alignas(64) std::array<std::byte, kMaxParameterBytes> parameters_;  // filled anew by every kernel
};

void Launcher::operator()(const KernelLaunch& launch) {
  fill_parameters(launch, bindings_, parameters_.data());
  std::size_t bytes = launch.parameters.size();
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, parameters_.data(), CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  std::array<CUlaunchAttribute, 2> attributes{};
  unsigned count = 0;
  if (launch.programmatic) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attributes[count++].value.programmaticStreamSerializationAllowed = 1;
  }
  if (launch.cluster.x * launch.cluster.y * launch.cluster.z > 1) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attributes[count++].value.clusterDim = {launch.cluster.x, launch.cluster.y, launch.cluster.z};
  }
  CUlaunchConfig config{};
  config.gridDimX = launch.grid.x;
  config.gridDimY = launch.grid.y;
  config.gridDimZ = launch.grid.z;
  config.blockDimX = launch.block.x;
  config.blockDimY = launch.block.y;
  config.blockDimZ = launch.block.z;
  config.sharedMemBytes = launch.shared_bytes;
  config.hStream = stream_.get();
  config.attrs = attributes.data();
  config.numAttrs = count;
  check(driver().cuLaunchKernelEx(&config, launch.function, nullptr, extra), "launching a kernel");
}

void Launcher::operator()(const HostCall& call) {
  auto closure = std::make_unique<HostClosure>(HostClosure{call.step, bindings_, &stream_.host_errors()});
  check(driver().cuLaunchHostFunc(stream_.get(), run_host_step, closure.get()), "enqueueing a host step");
  (void)closure.release();  // run_host_step's now
}

/// Kernels that ask for more shared memory than every kernel may have.
void raise_shared_limit(const KernelLaunch& launch, const Gpu& gpu) {
  constexpr unsigned kAlwaysAllowed = 48u << 10;
  if (launch.shared_bytes <= kAlwaysAllowed) return;
  REPRISE_CHECK(launch.shared_bytes <= gpu.info().max_shared_bytes, DeviceError,
                "[device/cuda] a kernel wants too much shared memory (got {} bytes, want at most {})", launch.shared_bytes, gpu.info().max_shared_bytes);
  check(driver().cuFuncSetAttribute(launch.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(launch.shared_bytes)),
        "raising a kernel's limit of shared memory");
}

bool is_fetch(const Operation& operation) {
  const auto* copy = std::get_if<MemoryCopy>(&operation.work);
  return copy != nullptr && copy->from_host;
}

void prepare(const Operation& operation, const Gpu& gpu) {
  const auto* launch = std::get_if<KernelLaunch>(&operation.work);
  if (launch == nullptr) return;
  REPRISE_CHECK(launch->parameters.size() <= kMaxParameterBytes, DeviceError, "[device/cuda] a kernel has too many parameters (got {} bytes, want at most {})",
                launch->parameters.size(), kMaxParameterBytes);
  raise_shared_limit(*launch, gpu);
}

}  // namespace

void fill_parameters(const KernelLaunch& launch, void* const* bindings, std::byte* parameters) {
  std::memcpy(parameters, launch.parameters.data(), launch.parameters.size());
  for (const Patch& patch : launch.patches) {
    const CUdeviceptr at = address(patch.place, bindings);
    if (patch.kind == Patch::Kind::address)
      std::memcpy(parameters + patch.at, &at, sizeof at);
    else
      check(driver().cuTensorMapReplaceAddress(reinterpret_cast<CUtensorMap*>(parameters + patch.at), reinterpret_cast<void*>(at)), "moving a tensor map");
  }
}

CudaCommandList::CudaCommandList(std::shared_ptr<Gpu> gpu, StepList steps) : gpu_(std::move(gpu)), steps_(std::move(steps)) {
  const CurrentContext current(gpu_->context());
  Operations operations(&gpu_->fault_words());
  try {
    for (const auto& step : steps_) {
      scratch_bytes_ = std::max(scratch_bytes_, step->scratch_bytes());
      describe(*step, operations);
      ++operations.step_;
    }
  } catch (...) {
    for (const auto& fault : operations.faults_) gpu_->fault_words().give_back(fault.word);
    throw;
  }
  operations_ = std::move(operations.all_);
  if (!operations.faults_.empty()) faults_ = std::make_shared<const Faults>(gpu_, std::move(operations.faults_));
  for (const auto& operation : operations_) {
    prepare(operation, *gpu_);
    const auto* call = std::get_if<LibraryCall>(&operation.work);
    if (call != nullptr && !call->early && !fence_) fence_.emplace(gpu_);
  }
  find_waits();
}

void CudaCommandList::describe(const Step& step, Operations& operations) {
  if (const auto* described = dynamic_cast<const CudaStep*>(&step)) return described->describe(operations);
  if (const auto* fetch = dynamic_cast<const FetchStep*>(&step)) {
    const auto end = static_cast<std::int64_t>(fetch->bytes());
    operations.add(MemoryCopy{.to = {fetch->to(), 0}, .from = {fetch->from(), 0}, .bytes = fetch->bytes(), .from_host = true},
                   {{fetch->to(), 0, end, true}, {fetch->from(), 0, end, false}});
    ++fetches_;
    return;
  }
  operations.add(HostCall{&step}, {});
}

void CudaCommandList::find_waits() {
  if (fetches_ == 0) return;
  waits_.resize(operations_.size() + 1);
  std::map<int, int> pending;  // slot → the copy that nothing has waited for yet
  int fetch = 0;
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    if (is_fetch(operations_[i])) {
      pending[operations_[i].accesses.front().slot] = fetch++;
      continue;
    }
    if (std::holds_alternative<HostCall>(operations_[i].work)) {
      for (const auto& [slot, copy] : pending) waits_[i].push_back(copy);
      pending.clear();
    }
    for (const Access& access : operations_[i].accesses) {
      const auto found = pending.find(access.slot);
      if (found == pending.end()) continue;
      waits_[i].push_back(found->second);
      pending.erase(found);
    }
  }
  for (const auto& [slot, copy] : pending) waits_.back().push_back(copy);
}

void CudaCommandList::enqueue(Stream& stream, void* const* bindings) const {
  auto& cuda_stream = static_cast<CudaStream&>(stream);
  const CurrentContext current(gpu_->context());
  if (faults_ != nullptr) cuda_stream.watch(faults_);
  Launcher launcher(cuda_stream, bindings, fence_ ? fence_->get() : nullptr);
  if (fetches_ == 0) {
    for (const auto& operation : operations_) std::visit(launcher, operation.work);
    return;
  }
  CopyLane lane(cuda_stream, fetches_);
  for (std::size_t i = 0, fetch = 0; i < operations_.size(); ++i) {
    const Operation& operation = operations_[i];
    if (is_fetch(operation)) {
      const auto& copy = std::get<MemoryCopy>(operation.work);
      lane.copy(fetch++, address(copy.to, bindings), address(copy.from, bindings), copy.bytes);
      continue;
    }
    for (const int which : waits_[i]) lane.wait_for(static_cast<std::size_t>(which));
    std::visit(launcher, operation.work);
    lane.passed_work();
  }
  for (const int which : waits_.back()) lane.wait_for(static_cast<std::size_t>(which));
  lane.finish();
}

}  // namespace reprise::device::cuda
