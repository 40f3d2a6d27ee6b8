#include "device/cuda/gpu.h"

#include <optional>
#include <vector>

#include "base/check.h"
#include "device/cuda/memory.h"
#include "device/cuda/shared_library.h"

namespace reprise::device::cuda {
namespace {

constexpr int kOldestMajor = 8;

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  check(driver().cuDeviceGetAttribute(&value, which, device), "asking for what the GPU can do");
  return value;
}

GpuInfo describe(CUdevice device) {
  const Driver& cuda = driver();
  GpuInfo info;
  char name[256] = {};
  check(cuda.cuDeviceGetName(name, sizeof name - 1, device), "asking for the GPU's name");
  info.name = name;
  info.major = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  info.minor = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info.multiprocessors = attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.l2_bytes = static_cast<std::size_t>(attribute(device, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
  info.max_shared_bytes = static_cast<std::size_t>(attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
  info.max_threads_per_multiprocessor = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  check(cuda.cuDeviceTotalMem(&info.memory_bytes, device), "asking for the GPU's memory");
  check(cuda.cuDriverGetVersion(&info.driver_version), "asking for the driver's version");
  // Hopper's own instructions need the architecture-specific target; the same holds for what comes after it.
  info.architecture = fmt::format("sm_{}{}{}", info.major, info.minor, info.major >= 9 ? "a" : "");
  return info;
}

/// What the usual card of an architecture has.
struct KnownArchitecture {
  std::string_view name;
  int major, minor, multiprocessors, max_shared_kilobytes, max_threads;
};
constexpr KnownArchitecture kKnown[] = {{"sm_80", 8, 0, 108, 163, 2048},  {"sm_86", 8, 6, 84, 99, 1536},      {"sm_89", 8, 9, 128, 99, 1536},
                                        {"sm_90a", 9, 0, 132, 227, 2048}, {"sm_100a", 10, 0, 148, 227, 2048}, {"sm_103a", 10, 3, 148, 227, 2048},
                                        {"sm_120a", 12, 0, 170, 99, 1536}};

}  // namespace

GpuInfo usual_gpu(const std::string& architecture) {
  std::string names;
  for (const auto& known : kKnown) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
    if (known.name != architecture && known.name != architecture + 'a') continue;
    GpuInfo info;
    info.name = info.architecture = known.name;
    info.major = known.major;
    info.minor = known.minor;
    info.multiprocessors = known.multiprocessors;
    info.max_shared_bytes = static_cast<std::size_t>(known.max_shared_kilobytes) << 10;
    info.max_threads_per_multiprocessor = known.max_threads;
    return info;
  }
  REPRISE_FAIL(InvalidArgument, "[compile/arch] not a CUDA architecture that is known (got '{}', want one of {})", architecture, names);
}

std::shared_ptr<Gpu> Gpu::offline(GpuInfo info) { return std::shared_ptr<Gpu>(new Gpu(std::move(info))); }

std::shared_ptr<Gpu> Gpu::open(int index) {
  static std::mutex mutex;
  static auto& opened = *new std::vector<std::shared_ptr<Gpu>>;  // never destroyed: the driver may be gone by then
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "counting the GPUs");
  REPRISE_CHECK(index >= 0 && index < count, DeviceError, "[device/open] there is no such CUDA GPU (got cuda:{}, want one of {})", index, count);
  const std::scoped_lock lock(mutex);
  opened.resize(static_cast<std::size_t>(count));
  auto& gpu = opened[static_cast<std::size_t>(index)];
  if (gpu == nullptr) gpu.reset(new Gpu(index));
  return gpu;
}

Gpu::Gpu(int index) : index_(index) {
  const Driver& cuda = driver();
  check(cuda.cuDeviceGet(&device_, index), "opening the GPU");
  info_ = describe(device_);
  REPRISE_CHECK(info_.major >= kOldestMajor, DeviceError, "[device/open] the GPU's CUDA architecture is too old (got {}.{} of {}, want {}.0 or later)",
                info_.major, info_.minor, info_.name, kOldestMajor);
  {
    const LibraryTimer timer;
    check(cuda.cuDevicePrimaryCtxRetain(&context_, device_), "opening the GPU's context");
  }
  const CurrentContext current(context_);
  memory_ = std::make_unique<MemoryPool>(index, info_.memory_bytes);
  fault_words_ = std::make_unique<FaultWords>();
  programs_ = std::make_unique<Programs>(context_, info_.architecture);
}

Gpu::Gpu(GpuInfo info) : info_(std::move(info)), programs_(std::make_unique<Programs>(nullptr, info_.architecture)) {}

void* Gpu::find_service(std::type_index type, std::shared_ptr<void> (*make)(Gpu&)) {
  const std::scoped_lock lock(services_mutex_);
  if (const auto found = services_.find(type); found != services_.end()) return found->second.get();
  std::optional<CurrentContext> current;
  if (context_ != nullptr) current.emplace(context_);
  auto made = make(*this);
  return services_.emplace(type, std::move(made)).first->second.get();
}

}  // namespace reprise::device::cuda
