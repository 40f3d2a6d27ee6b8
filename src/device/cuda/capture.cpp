#include "device/cuda/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>

#include "device/cuda/command_list.h"

namespace reprise::device::cuda {
namespace {

constexpr auto kReading = "reading a capture";

struct Edges {
  std::vector<CUgraphNode> from, to;
  std::vector<CUgraphEdgeData> data;

  explicit Edges(CUgraph graph) {
    std::size_t count = 0;
    check(driver().cuGraphGetEdges(graph, nullptr, nullptr, nullptr, &count), kReading);
    from.resize(count);
    to.resize(count);
    data.resize(count);
    if (count > 0) check(driver().cuGraphGetEdges(graph, from.data(), to.data(), data.data(), &count), kReading);
  }
};

std::vector<CUgraphNode> nodes_of(CUgraph graph) {
  std::size_t count = 0;
  check(driver().cuGraphGetNodes(graph, nullptr, &count), kReading);
  std::vector<CUgraphNode> nodes(count);
  if (count > 0) check(driver().cuGraphGetNodes(graph, nodes.data(), &count), kReading);
  return nodes;
}

bool is_kernel(CUgraphNode node) {
  CUgraphNodeType type{};
  check(driver().cuGraphNodeGetType(node, &type), kReading);
  return type == CU_GRAPH_NODE_TYPE_KERNEL;
}

/// A kernel of the same parameters, for what follows it to be captured after.
CUgraphNode add_copy(CUgraph graph, CUgraphNode kernel) {
  const auto params = params_of(kernel);
  CUgraphNode copy = nullptr;
  check(driver().cuGraphAddKernelNode(&copy, graph, nullptr, 0, &params), "recording a library's work");
  return copy;
}

}  // namespace

StreamOwner private_stream() {
  CUstream stream = nullptr;
  check(driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "making a stream");
  return StreamOwner(stream);
}

CUDA_KERNEL_NODE_PARAMS params_of(CUgraphNode kernel) {
  CUDA_KERNEL_NODE_PARAMS params{};
  check(driver().cuGraphKernelNodeGetParams(kernel, &params), kReading);
  return params;
}

CapturedCall::CapturedCall(const Operation& operation, void* const* bindings, CUgraphNode before) {
  find_kernels(capture(operation, bindings, before));
  if (kernels_.empty() && before != nullptr) capture(operation, bindings, nullptr);
}

/// Gives what stands for `before` in the graph.
CUgraphNode CapturedCall::capture(const Operation& operation, void* const* bindings, CUgraphNode before) {
  const Driver& cuda = driver();
  const auto stream = private_stream();
  CUgraph graph = nullptr;
  check(cuda.cuGraphCreate(&graph, 0), "making a graph");
  graph_ = GraphOwner(graph);
  const CUgraphNode first = before != nullptr ? add_copy(graph, before) : nullptr;
  check(cuda.cuStreamBeginCaptureToGraph(stream.get(), graph, &first, nullptr, first != nullptr ? 1 : 0, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "recording a library's work");
  std::optional<std::string> error;
  try {
    std::get<LibraryCall>(operation.work).enqueue(stream.get(), bindings);
  } catch (const std::exception& thrown) {
    error = thrown.what();
  }
  const CUresult result = cuda.cuStreamEndCapture(stream.get(), &graph);
  if (graph == nullptr) (void)graph_.release();  // the driver destroys what it could not capture
  if (!error && result != CUDA_SUCCESS) error = fmt::format("[device/cuda] recording a library's work failed ({})", error_text(result));
  if (error) throw CaptureFailed(*error, static_cast<std::size_t>(operation.step));
  return first;
}

void CapturedCall::find_kernels(CUgraphNode before) {
  const auto nodes = nodes_of(graph_.get());
  const Edges edges(graph_.get());
  const std::size_t all = nodes.size() - (before != nullptr ? 1 : 0);
  const auto follower = [&](CUgraphNode node) { return static_cast<std::size_t>(std::find(edges.from.begin(), edges.from.end(), node) - edges.from.begin()); };
  Kernel next;
  if (before == nullptr) {
    const auto root = std::find_if(nodes.begin(), nodes.end(), [&](CUgraphNode n) { return std::find(edges.to.begin(), edges.to.end(), n) == edges.to.end(); });
    if (root != nodes.end()) next.node = *root;
  } else if (const std::size_t at = follower(before); at < edges.to.size()) {
    next = {edges.to[at], edges.data[at].type == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC};
  }
  while (next.node != nullptr && kernels_.size() < all && is_kernel(next.node)) {
    kernels_.push_back(next);
    const std::size_t at = follower(next.node);
    next = at < edges.to.size() ? Kernel{edges.to[at], edges.data[at].type == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC} : Kernel{};
  }
  // One way through all of them: as many edges as it takes, and nothing left over.
  if (kernels_.size() != all || edges.to.size() + 1 != nodes.size()) kernels_.clear();
}

}  // namespace reprise::device::cuda
