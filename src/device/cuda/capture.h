// What a library's function enqueues, read from a capture.
#pragma once

#include <cuda.h>

#include <span>
#include <vector>

#include "base/unique_handle.h"
#include "device/cuda/driver.h"
#include "device/cuda/operations.h"

namespace reprise::device::cuda {

inline void destroy_graph(CUgraph graph) { driver().cuGraphDestroy(graph); }
inline void destroy_stream(CUstream stream) { driver().cuStreamDestroy(stream); }
using GraphOwner = base::UniqueHandle<CUgraph, destroy_graph>;
using StreamOwner = base::UniqueHandle<CUstream, destroy_stream>;

/// A stream that nothing else orders itself against, so that no other thread's work can break a capture.
StreamOwner private_stream();

/// Parameters of a kernel node; they stay as long as its graph.
CUDA_KERNEL_NODE_PARAMS params_of(CUgraphNode kernel);

class CapturedCall {
 public:
  /// Captures a LibraryCall, thread-locally. `before`: a kernel's node, of any graph, that the work comes after; null: none. Throws CaptureFailed, which names
  /// the operation's step.
  CapturedCall(const Operation& operation, void* const* bindings, CUgraphNode before);

  struct Kernel {
    CUgraphNode node = nullptr;
    bool early = false;  // the library lets it start before the kernel that it comes after has ended, and waits for that one's results inside
  };
  /// Its kernels, one after the other. Empty: the work is something else as well.
  [[nodiscard]] std::span<const Kernel> kernels() const { return kernels_; }
  /// Of what has no kernels(): the work and nothing else.
  [[nodiscard]] CUgraph graph() const { return graph_.get(); }

 private:
  CUgraphNode capture(const Operation& operation, void* const* bindings, CUgraphNode before);
  void find_kernels(CUgraphNode before);

  GraphOwner graph_;
  std::vector<Kernel> kernels_;
};

}  // namespace reprise::device::cuda
