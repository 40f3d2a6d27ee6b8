#include "kernels/cuda/tuner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <future>
#include <limits>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "device/cuda/command_list.h"
#include "kernels/cuda/candidates.h"
#include "kernels/cuda/factories.h"
#include "kernels/tuning.h"

namespace reprise::kernels::cuda {
namespace {

using device::cuda::CudaDevice;
using device::cuda::CudaStream;
using device::cuda::CurrentContext;
using device::cuda::driver;

constexpr int kNodes = 20;  // of a measured graph
constexpr std::int64_t kSpacerCycles = 4000;
constexpr int kMostBuilders = 16;           // candidates that are built at once
constexpr double kHopeless = 1.5;           // times the best: not measured a second time
constexpr std::size_t kMaxCopies = kNodes;  // of cold operands

/// Two that measure at once would measure each other. A service of a Gpu.
struct Turn {
  explicit Turn(Gpu&) {}
  std::mutex mutex;
};

/// Memory for a command's operands; several tables, which differ in where the weights are.
class Memory {
 public:
  Memory(const std::shared_ptr<CudaDevice>& device, const StepSpec& spec, bool cold_weights) : device_(device) {
    for (const OperandRef& operand : spec.inputs) extend(operand);
    for (const OperandRef& operand : spec.outputs) extend(operand);
    std::size_t copies = 1;
    if (cold_weights && spec.inputs.size() > 1) {
      cold_slot_ = spec.inputs[1].slot;
      const std::size_t bytes = std::max<std::size_t>(parts_[cold_slot_].bytes, 1);
      copies = std::clamp<std::size_t>(2 * device->gpu()->info().l2_bytes / bytes + 1, 1, kMaxCopies);
    }
    int slots = 0;
    for (const auto& [slot, part] : parts_) slots = std::max(slots, slot + 1);
    scratch_slot_ = slots;
    tables_.assign(copies, std::vector<void*>(static_cast<std::size_t>(slots) + 1, nullptr));
    for (const auto& [slot, part] : parts_) place(slot, part);
    device->default_stream().synchronize();
  }

  [[nodiscard]] int scratch_slot() const { return scratch_slot_; }
  [[nodiscard]] std::size_t tables() const { return tables_.size(); }
  [[nodiscard]] void* const* table(std::size_t i) const { return tables_[i % tables_.size()].data(); }
  void set_scratch(std::size_t bytes) {
    if (bytes > scratch_.size()) scratch_ = device::Allocation(device_, bytes);
    for (auto& table : tables_) table.back() = scratch_.data();
  }

 private:
  struct Part {
    std::size_t bytes = 0;
    DType dtype = DType::f32;
  };
  void extend(const OperandRef& operand) {
    Part& part = parts_[operand.slot];
    part.bytes = std::max(part.bytes, static_cast<std::size_t>(access(operand, false).end));
    part.dtype = operand.dtype;
  }
  void place(int slot, const Part& part) {
    const std::vector<std::byte> data = sample_values(part.dtype, part.bytes);
    void* address = nullptr;
    for (auto& table : tables_) {
      if (address == nullptr || slot == cold_slot_) {
        memory_.emplace_back(device_, part.bytes);
        address = memory_.back().data();
        device_->copy(address, data.data(), data.size(), device_->default_stream());
      }
      table[static_cast<std::size_t>(slot)] = address;
    }
    device_->default_stream().synchronize();  // `data` goes
  }

  std::shared_ptr<CudaDevice> device_;
  std::map<int, Part> parts_;
  int cold_slot_ = -1, scratch_slot_ = 0;
  std::vector<device::Allocation> memory_;
  device::Allocation scratch_;
  std::vector<std::vector<void*>> tables_;
};

/// What stands between the runs of a candidate, as another command would in a call: a kernel that waits for what it follows, as ours do, and then keeps every
/// multiprocessor a little busy. What a candidate does before it waits in turn is hidden behind that, and not counted.
std::unique_ptr<device::CommandList> make_spacer(CudaDevice& device) {
  Gpu& gpu = *device.gpu();
  const Kernel kernel = gpu.programs().request({.text = "#include \"prelude.cuh\"\n"
                                                        "extern \"C\" __global__ void spacer(i64_t cycles) {\n"
                                                        "  wait_for_earlier_kernels();\n"
                                                        "  for (const i64_t begin = clock64(); clock64() - begin < cycles;) {}\n"
                                                        "}\n",
                                                .entry = "spacer"});
  device::StepList steps;
  const auto blocks = static_cast<unsigned>(gpu.info().multiprocessors);
  steps.push_back(make_step(0, [kernel, blocks, early = starts_early(gpu)](Operations& operations, int) {
    launch(operations, kernel, {.grid = {blocks}, .block = {32}, .programmatic = early}, Arguments().value(kSpacerCycles));
  }));
  return device.make_command_list(std::move(steps));
}

/// A command list kNodes times in a row with spacers between, or (null) these alone, as a graph.
class Chain {
 public:
  Chain(CudaStream& stream, const device::CommandList* list, const device::CommandList& spacer, const Memory& memory) : stream_(stream) {
    device::cuda::check(driver().cuStreamBeginCapture(stream.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "beginning a capture");
    std::exception_ptr error;
    try {
      for (std::size_t i = 0; i < kNodes; ++i) {
        if (list != nullptr) list->enqueue(stream, memory.table(i));
        spacer.enqueue(stream, memory.table(i));
      }
    } catch (...) {
      error = std::current_exception();
    }
    const CUresult ended = driver().cuStreamEndCapture(stream.get(), &graph_);
    try {
      if (error != nullptr) std::rethrow_exception(error);
      device::cuda::check(ended, "ending a capture");
      device::cuda::check(driver().cuGraphInstantiateWithFlags(&exec_, graph_, 0), "instantiating a graph");
    } catch (...) {
      destroy();
      throw;
    }
  }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;
  ~Chain() { destroy(); }

  void launch() { device::cuda::check(driver().cuGraphLaunch(exec_, stream_.get()), "launching a graph"); }

 private:
  void destroy() noexcept {
    if (exec_ != nullptr) (void)driver().cuGraphExecDestroy(exec_);
    if (graph_ != nullptr) (void)driver().cuGraphDestroy(graph_);
  }
  CudaStream& stream_;
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
};

/// A candidate ready to be timed.
struct Built {
  std::string name;
  StepPtr step;
};

std::vector<Built> build(Gpu& gpu, const StepSpec& spec, const std::vector<std::string>& names) {
  std::vector<Built> all(names.size());
  std::atomic<std::size_t> next = 0;
  std::vector<std::future<void>> workers;
  for (int w = 0; w < std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMostBuilders); ++w) {
    workers.push_back(std::async(std::launch::async, [&] {
      for (std::size_t i = next++; i < names.size(); i = next++) {
        try {
          all[i] = {names[i], make_contraction(gpu, spec, names[i])};
        } catch (const Error&) {  // not a candidate, then
        }
      }
    }));
  }
  for (auto& worker : workers) worker.get();
  std::erase_if(all, [](const Built& b) { return b.step == nullptr; });
  return all;
}

class Stopwatch {
 public:
  Stopwatch(CudaDevice& device, CudaStream& stream) : device_(device), stream_(stream), begin_(device.make_event()), end_(device.make_event()) {}

  /// Microseconds of a node: the median of `launches`.
  double measure(Chain& chain, int launches) {
    std::vector<double> times;
    chain.launch();  // warm
    for (int i = 0; i < launches; ++i) {
      stream_.record(*begin_);
      chain.launch();
      stream_.record(*end_);
      stream_.synchronize();
      times.push_back(device_.elapsed_ms(*begin_, *end_) * 1e3 / kNodes);
    }
    std::nth_element(times.begin(), times.begin() + launches / 2, times.end());
    return times[static_cast<std::size_t>(launches / 2)];
  }

 private:
  CudaDevice& device_;
  CudaStream& stream_;
  std::unique_ptr<device::Event> begin_, end_;
};

}  // namespace

std::vector<Tuner::Measurement> Tuner::measure(const StepSpec& spec, const std::vector<std::string>& names) {
  constexpr int kQuickLaunches = 3, kLaunches = 15;
  Gpu& gpu = *device_->gpu();
  std::vector<Built> built = build(gpu, spec, names);
  const CurrentContext context(gpu.context());
  Memory memory(device_, spec, options_.weight_bytes > gpu.info().l2_bytes);
  const auto stream = device_->make_stream();
  auto& cuda_stream = static_cast<CudaStream&>(*stream);
  Stopwatch stopwatch(*device_, cuda_stream);
  const auto spacer = make_spacer(*device_);
  Chain spacers(cuda_stream, nullptr, *spacer, memory);
  const double apart = stopwatch.measure(spacers, kLaunches);
  std::vector<Measurement> results;
  double best = std::numeric_limits<double>::infinity();
  for (Built& b : built) {
    try {
      b.step->set_scratch_slot(memory.scratch_slot());
      memory.set_scratch(b.step->scratch_bytes());
      device::StepList steps;
      steps.push_back(std::move(b.step));
      const auto list = device_->make_command_list(std::move(steps));
      list->enqueue(cuda_stream, memory.table(0));  // outside of a capture first: libraries load their kernels
      stream->synchronize();
      Chain chain(cuda_stream, list.get(), *spacer, memory);
      double microseconds = stopwatch.measure(chain, kQuickLaunches) - apart;
      if (microseconds < kHopeless * best) microseconds = stopwatch.measure(chain, kLaunches) - apart;
      best = std::min(best, microseconds);
      results.push_back({b.name, microseconds});
    } catch (const DeviceError&) {  // a library's plan that cannot be captured, say
    }
  }
  std::sort(results.begin(), results.end(), [](const Measurement& l, const Measurement& r) { return l.microseconds < r.microseconds; });
  return results;
}

void Tuner::tune(const StepSpec& spec) {
  constexpr std::array kMost = {0, 4, 8, 16, 32, 1000};
  const int most = kMost[static_cast<std::size_t>(std::clamp(options_.level, 0, 5))];
  constexpr std::int64_t kSmall = 1 << 16;  // multiplications: such take what a launch takes, whoever computes them
  if (most == 0 || multiplications(spec) < kSmall) return;
  const std::lock_guard turn(device_->gpu()->service<Turn>().mutex);
  Choices& choices = device_->gpu()->service<Choices>();
  const std::string key = choice_key(*device_->gpu(), spec);
  if (choices.find(key)) return;
  std::vector<std::string> names = contraction_candidates(*device_->gpu(), spec, most);
  const auto measured = measure(spec, names);
  if (!measured.empty()) choices.set(key, {measured[0].name, measured[0].microseconds});
}

}  // namespace reprise::kernels::cuda
