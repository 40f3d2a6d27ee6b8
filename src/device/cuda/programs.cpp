#include "device/cuda/programs.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>

#include "device/cuda/compiler.h"
#include "device/cuda/driver.h"

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
  check(cuda.cuModuleGetFunction(&function, module, program.entry.c_str()), "loading a kernel");
  return function;
}

std::string key_of(const ProgramSource& source) {
  std::string key = source.text + '\0' + source.entry;
  for (const auto& option : source.options) key += '\0' + option;
  return key;
}

}  // namespace

Kernel Programs::request(const ProgramSource& source) {
  const std::scoped_lock lock(mutex_);
  auto [entry, fresh] = kernels_.try_emplace(key_of(source));
  if (!fresh) return entry->second;
  try {
    if (context_ == nullptr) {
      (void)compile_program(source, architecture_);
      std::promise<CUfunction> nothing;
      nothing.set_value(nullptr);
      return entry->second = nothing.get_future().share();
    }
    Workers& pool = workers();
    auto task = std::make_shared<std::packaged_task<CUfunction()>>(
        [context = context_, architecture = architecture_, source] { return load(context, compile_program(source, architecture)); });
    entry->second = task->get_future().share();
    pool.add([task] { (*task)(); });
    return entry->second;
  } catch (...) {
    kernels_.erase(entry);
    throw;
  }
}

std::size_t Programs::compiled() const {
  const std::scoped_lock lock(mutex_);
  return kernels_.size();
}

}  // namespace reprise::device::cuda
