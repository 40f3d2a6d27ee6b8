// Whether memory grows over many calls: `bench_cuda_soak MODEL.pt2|MODEL.rpz CALLS [RUNTIME_CACHE]` records the module and enqueues CALLS calls of it, and
// prints the process's resident memory and the GPU's used memory on the way, after a first thousandth.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "device/cuda/device.h"
#include "reprise/reprise.h"
#include "reprise/stream.h"

namespace {

using namespace reprise;

double resident_mib() {
  std::ifstream file("/proc/self/statm");
  long size = 0, resident = 0;
  file >> size >> resident;
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double device_mib(const device::cuda::CudaDevice& device) {
  const device::cuda::CurrentContext context(device.gpu()->context());
  std::size_t free = 0, total = 0;
  device::cuda::check(device::cuda::driver().cuMemGetInfo(&free, &total), "asking for the memory in use");
  return static_cast<double>(total - free) / (1 << 20);
}

Module open_module(const std::string& path, const char* runtime_cache) {
  if (path.ends_with(".rpz")) return Module::load(path);
  CompileOptions options;
  options.device = Device::cuda(0);
  if (runtime_cache != nullptr) options.runtime_cache_path = runtime_cache;
  return compile(load_program(path), options);
}

int soak(const std::string& path, long calls, const char* runtime_cache) {
  runtime::set_cudagraphs_mode(true);
  const auto module = open_module(path, runtime_cache);
  std::vector<Tensor> inputs, outputs;
  for (const auto& entry : module.inputs())
    if (entry.kind == SignatureEntry::Kind::tensor) inputs.push_back(runtime::copy_to(Tensor::zeros(entry.opt, entry.dtype), module.device()));
  for (const auto& entry : module.outputs())
    if (entry.kind == SignatureEntry::Kind::tensor)
      outputs.push_back(runtime::empty(module.output_sizes(inputs, outputs.size()), entry.dtype, module.device()));
  const auto device = device::cuda::open(0);
  const Stream stream(module.device());
  constexpr long kReports = 5, kRow = 1000;
  long done = 0;
  for (long report = 0; report <= kReports; ++report) {
    const long until = report == 0 ? calls / 1000 : calls / kReports * report;
    for (; done < until; ++done) {
      module.enqueue(inputs, outputs, stream);
      if (done % kRow == 0) stream.synchronize();
    }
    stream.synchronize();
    fmt::print("{:>10} calls: {:.1f} MiB resident, {:.1f} MiB in use on the GPU\n", done, resident_mib(), device_mib(*device));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return soak(argv[1], argc > 2 ? std::atol(argv[2]) : 100000, argc > 3 ? argv[3] : nullptr);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
