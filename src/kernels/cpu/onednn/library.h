// oneDNN with our words: operands as memory descriptors, weights packed once, primitives that run over binding tables.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

const dnnl::engine& engine();

/// nullopt: a dtype that its fast kernels do not compute.
std::optional<dnnl::memory::data_type> data_type(DType dtype);
dnnl::memory::dims dims_of(const OperandRef& operand);
dnnl::memory::dims strides_of(const OperandRef& operand);
/// An operand as it lies. Its dtype has a data_type.
dnnl::memory::desc describe(const OperandRef& operand);

/// How many threads primitives that are made or run in this scope use.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;
  ~ThreadScope();

 private:
  int before_;
};

/// Weights in a primitive's own order, one copy for all steps that want the same of the same. Thread safe.
class PackedWeights {
 public:
  using Packed = std::shared_ptr<const dnnl::memory>;
  /// `from`, described by `as`, in the order of `to`.
  Packed pack(const void* from, const dnnl::memory::desc& as, const dnnl::memory::desc& to);
  /// Tells the bytes that a reorder makes of an operand's. Empty: in an order that only this process can tell.
  static std::string form(const dnnl::memory::desc& as, const dnnl::memory::desc& to);
  /// How to do that again for every run.
  static Packing packing(int slot, std::int64_t offset_bytes, const dnnl::memory::desc& as, const dnnl::memory::desc& to, int threads);

 private:
  static std::string key(const void* from, const dnnl::memory::desc& as, const dnnl::memory::desc& to);
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const dnnl::memory>> known_;
};

/// An argument of a primitive: an operand's place in the binding table, or memory that never changes.
struct Argument {
  int index = 0;  // DNNL_ARG_…
  dnnl::memory::desc layout;
  OperandRef operand = {};  // where `fixed` is null
  PackedWeights::Packed fixed = nullptr;
};

/// An argument that is `w`, a fixed operand that lies `as`, where a primitive wants `to`: packed now, or where weights are streamed by each run. Then
/// `streamed` says how, for StepSpec::packings once the step is made.
Argument weights_argument(const StepSpec& spec, const OperandRef& w, const dnnl::memory::desc& as, const dnnl::memory::desc& to, PackedWeights& weights,
                          std::optional<Packing>& streamed);

/// Elements that follow each other, written to another place before a primitive runs.
struct CopyBefore {
  OperandRef from, to;
};

/// Runs a primitive made with a user's scratchpad. May run in several threads at once, and allocates only when more of them do than ever before.
StepPtr make_primitive_step(const dnnl::primitive& primitive, std::vector<Argument> arguments, const dnnl::memory::desc& scratchpad, int threads,
                            const std::optional<CopyBefore>& copy = std::nullopt);

}  // namespace reprise::kernels::cpu
