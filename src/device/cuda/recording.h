// Recordings of a GPU: a command list as an instantiated CUDA graph, built node by node.
#pragma once

#include <cuda.h>

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "device/cuda/command_list.h"

namespace reprise::device::cuda {

/// Kernels, copies and fills are nodes of their own, in the order that their accesses ask for and no other; library calls are captured, thread-locally: into
/// nodes where they are kernels one after the other, the first of which starts early (programmatic launch) if both the library and LibraryCall::early say so,
/// and else into child graphs. A replay with the addresses of the one before is one graph launch; a changed slot patches the nodes that name it (a library call
/// that names it is captured anew), for this launch and later ones: launches in flight keep theirs.
class CudaRecording final : public Recording {
 public:
  CudaRecording(std::shared_ptr<const CommandList> list, std::span<void* const> bindings);
  CudaRecording(const CudaRecording&) = delete;
  CudaRecording& operator=(const CudaRecording&) = delete;
  ~CudaRecording() override;

  void replay(Stream& stream, std::span<void* const> bindings) override;
  [[nodiscard]] CUgraphExec graph_exec() const { return exec_; }
  [[nodiscard]] std::size_t patched_slots() const override { return patched_slots_; }
  [[nodiscard]] std::size_t size_bytes() const override;

 private:
  struct Node;
  class Builder;

  void patch(std::span<void* const> bindings, CudaStream& stream);
  void patch(Node& node);
  void patch_library(const Node& node);
  void prepare_steps() const;

  std::shared_ptr<const CommandList> owned_list_;
  const CudaCommandList& list_;
  std::vector<void*> bindings_;
  std::vector<std::unique_ptr<Node>> nodes_;     // by operation
  std::vector<std::vector<int>> nodes_of_slot_;  // those that name it
  std::vector<char> changed_;                    // scratch of `patch`, by node
  bool has_host_calls_ = false;
  std::atomic<HostErrors*> host_errors_ = nullptr;  // of the stream of the replay in flight
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  std::size_t patched_slots_ = 0;
};

}  // namespace reprise::device::cuda
