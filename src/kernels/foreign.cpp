#include "kernels/foreign.h"

#include <algorithm>
#include <mutex>

#include "base/check.h"

namespace reprise::kernels {
namespace {

struct Process {
  std::mutex mutex;
  std::vector<ForeignKernelPtr> kernels;
};

Process& process() {
  static Process all;
  return all;
}

auto named(std::string_view name) {
  return [name](const ForeignKernelPtr& kernel) { return kernel->name == name; };
}

void put(std::vector<ForeignKernelPtr>& kernels, ForeignKernelPtr kernel) {
  std::erase_if(kernels, named(kernel->name));
  kernels.push_back(std::move(kernel));
}

}  // namespace

std::string foreign_target(std::string_view schema) {
  const auto open = schema.find('('), colons = schema.find("::");
  REPRISE_CHECK(open != std::string_view::npos && colons != std::string_view::npos && colons > 0 && colons + 2 < open, InvalidArgument,
                "[foreign/schema] want \"namespace::op(Tensor x, …) -> Tensor\" (got '{}')", schema);
  const auto op = schema.substr(colons + 2, open - colons - 2);
  return fmt::format("{}.{}{}", schema.substr(0, colons), op, op.find('.') == std::string_view::npos ? ".default" : "");
}

ForeignKernelPtr checked(ForeignKernel kernel) {
  const auto target = foreign_target(kernel.schema);
  if (kernel.name.empty()) kernel.name = target;
  REPRISE_CHECK(kernel.host || kernel.cuda || kernel.nvrtc, InvalidArgument, "[foreign/{}] it has neither a host function nor a CUDA function nor NVRTC source",
                kernel.name);
  REPRISE_CHECK(!kernel.nvrtc || kernel.nvrtc->launch, InvalidArgument, "[foreign/{}] NVRTC source without a launch", kernel.name);
  REPRISE_CHECK(kernel.requires_output_allocator == (kernel.host_sizes || kernel.cuda_sizes), InvalidArgument,
                "[foreign/{}] requires_output_allocator asks for host_sizes or cuda_sizes, and only that", kernel.name);
  return std::make_shared<const ForeignKernel>(std::move(kernel));
}

ForeignKernels::ForeignKernels(std::span<const ForeignKernel> own) {
  {
    const std::scoped_lock lock(process().mutex);
    all_ = process().kernels;
  }
  for (const ForeignKernel& kernel : own) put(all_, checked(kernel));
}

ForeignKernelPtr ForeignKernels::find(std::string_view name) const {
  const auto found = std::find_if(all_.begin(), all_.end(), named(name));
  return found == all_.end() ? nullptr : *found;
}

std::string ForeignKernels::missing(std::string_view name) {
  return fmt::format("the module needs the foreign kernel '{}', which is not registered (register_foreign_kernel, or LoadOptions::foreign_kernels)", name);
}

void ForeignKernels::register_process_wide(ForeignKernel kernel) {
  auto made = checked(std::move(kernel));
  const std::scoped_lock lock(process().mutex);
  put(process().kernels, std::move(made));
}

bool ForeignKernels::unregister_process_wide(std::string_view name) {
  const std::scoped_lock lock(process().mutex);
  return std::erase_if(process().kernels, named(name)) > 0;
}

void call_foreign(const ForeignFunction& function, const ForeignCall& call, const BoundForeign& bound) {
  try {
    function(call);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    REPRISE_FAIL(Error, "[foreign/{}] '{}' failed: {}", bound.kernel().name, bound.node(), error.what());
  }
}

}  // namespace reprise::kernels
