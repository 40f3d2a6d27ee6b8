#include "device/cuda/programs.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>

#include "base/check.h"
#include "base/hash.h"
#include "device/cuda/compiler.h"
#include "device/cuda/driver.h"
#include "device/cuda/texts.h"

namespace reprise::device::cuda {
namespace {

/// Threads that compile. They start as they are needed; those of the process's end wait for what is being compiled and drop the rest.
class Workers {
 public:
  ~Workers() {
    {
      const std::scoped_lock lock(mutex_);
      closing_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void add(std::function<void()> job) {
    const std::scoped_lock lock(mutex_);
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < most()) threads_.emplace_back([this] { work(); });
    changed_.notify_one();
  }

 private:
  static std::size_t most() { return std::clamp(std::thread::hardware_concurrency(), 1u, 16u); }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      changed_.wait(lock, [&] { return closing_ || !jobs_.empty(); });
      --idle_;
      if (closing_) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool closing_ = false;
};

Workers& workers() {
  (void)compiler_version();  // NVRTC is opened first, so that it outlives these threads; and told missing to the caller
  static Workers all;
  return all;
}

CUfunction load(CUcontext context, const CompiledProgram& program) {
  const CurrentContext current(context);
  const Driver& cuda = driver();
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  check(cuda.cuModuleLoadDataEx(&module, program.code.data(), 0, nullptr, nullptr), "loading a kernel");
  check(cuda.cuModuleGetFunction(&function, module, program.kernel.c_str()), "loading a kernel");
  return function;
}

std::string key_of(const ProgramSource& source) {
  std::string key = source.text + '\0' + source.entry;
  for (const auto& option : source.options) key += '\0' + option;
  return key;
}

}  // namespace

const std::string& texts_key() {
  static const std::string key = [] {
    std::string all;
    for (const Text& text : texts()) all += std::string(text.name) + '\0' + text.content + '\0';
    return base::sha256(all);
  }();
  return key;
}

std::string program_key(const ProgramSource& source, const std::string& architecture) {
  return base::sha256(texts_key() + architecture + '\0' + key_of(source));
}

Kernel Programs::request(const ProgramSource& source) {
  const std::scoped_lock lock(mutex_);
  if (context_ == nullptr) {
    requests_.push_back(source);
    std::promise<CUfunction> nothing;
    nothing.set_value(nullptr);
    return nothing.get_future().share();
  }
  const std::string key = key_of(source);
  if (const auto found = entries_.find(key); found != entries_.end()) return found->second.kernel;
  const auto stored = stored_.empty() ? stored_.end() : stored_.find(program_key(source, architecture_));
  return entries_.emplace(key, stored != stored_.end() ? load_stored(stored->second) : compile(source)).first->second.kernel;
}

Programs::Entry Programs::load_stored(const CompiledProgram& program) {
  std::promise<CUfunction> loaded;
  loaded.set_value(load(context_, program));
  ++counts_.loaded;
  return {loaded.get_future().share(), {}};
}

Programs::Entry Programs::compile(const ProgramSource& source) {
  Workers* pool = nullptr;
  try {
    pool = &workers();
  } catch (const DeviceError& error) {
    REPRISE_FAIL(DeviceError, "[device/compile] the module brings no kernel '{}' for {}, and it cannot be compiled here: {}", source.entry, architecture_,
                 error.what());
  }
  auto compilation =
      std::make_shared<std::packaged_task<CompiledProgram()>>([architecture = architecture_, source] { return compile_program(source, architecture); });
  const Compilation program = compilation->get_future().share();
  auto loading = std::make_shared<std::packaged_task<CUfunction()>>([context = context_, program] { return load(context, program.get()); });
  Entry entry{loading->get_future().share(), program};
  pool->add([compilation, loading] {
    (*compilation)();
    (*loading)();
  });
  ++counts_.compiled;
  return entry;
}

void Programs::add(const std::string& key, CompiledProgram program) {
  const std::scoped_lock lock(mutex_);
  stored_.try_emplace(key, std::move(program));
}

std::optional<CompiledProgram> Programs::find(const ProgramSource& source) const {
  Compilation compiled;
  {
    const std::scoped_lock lock(mutex_);
    if (const auto entry = entries_.find(key_of(source)); entry != entries_.end()) compiled = entry->second.program;
    if (!compiled.valid()) {
      const auto stored = stored_.find(program_key(source, architecture_));
      return stored == stored_.end() ? std::nullopt : std::optional(stored->second);
    }
  }
  return compiled.get();
}

Programs::Counts Programs::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

std::vector<ProgramSource> Programs::take_requests() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(requests_, {});
}

}  // namespace reprise::device::cuda
