#include "device/cuda/recording.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/unique_handle.h"
#include "device/cuda/dependencies.h"

namespace reprise::device::cuda {
namespace {

// What the driver keeps for a node of an instantiated graph, on the host and on the GPU; it does not tell.
constexpr std::size_t kNodeBytes = 2048;

void destroy_graph(CUgraph graph) { driver().cuGraphDestroy(graph); }
void destroy_stream(CUstream stream) { driver().cuStreamDestroy(stream); }
using GraphOwner = base::UniqueHandle<CUgraph, destroy_graph>;
using StreamOwner = base::UniqueHandle<CUstream, destroy_stream>;

/// The kernel that a captured graph consists of. Null: it holds something else as well.
CUgraphNode only_kernel(CUgraph graph) {
  std::size_t count = 1;
  CUgraphNode node = nullptr;
  CUgraphNodeType type{};
  check(driver().cuGraphGetNodes(graph, nullptr, &count), "reading a capture");
  if (count != 1) return nullptr;
  check(driver().cuGraphGetNodes(graph, &node, &count), "reading a capture");
  check(driver().cuGraphNodeGetType(node, &type), "reading a capture");
  return type == CU_GRAPH_NODE_TYPE_KERNEL ? node : nullptr;
}

/// Parameters of a captured kernel; they stay as long as its graph.
CUDA_KERNEL_NODE_PARAMS params_of(CUgraphNode kernel) {
  CUDA_KERNEL_NODE_PARAMS params{};
  check(driver().cuGraphKernelNodeGetParams(kernel, &params), "reading a capture");
  return params;
}

/// A stream that nothing else orders itself against, so that no other thread's work can break a capture.
StreamOwner private_stream() {
  CUstream stream = nullptr;
  check(driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "making a stream");
  return StreamOwner(stream);
}

CUDA_MEMCPY3D copy_params(const MemoryCopy& copy, void* const* bindings) {
  CUDA_MEMCPY3D params{};
  params.srcMemoryType = copy.from_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
  params.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  params.srcDevice = copy.from_host ? 0 : address(copy.from, bindings);
  params.srcHost = copy.from_host ? reinterpret_cast<const void*>(address(copy.from, bindings)) : nullptr;
  params.dstDevice = address(copy.to, bindings);
  params.srcPitch = params.dstPitch = params.WidthInBytes = copy.bytes;
  params.srcHeight = params.dstHeight = params.Height = params.Depth = 1;
  return params;
}

CUDA_MEMSET_NODE_PARAMS fill_params(const MemoryFill& fill, void* const* bindings) {
  CUDA_MEMSET_NODE_PARAMS params{};
  params.dst = address(fill.to, bindings);
  params.elementSize = static_cast<unsigned>(fill.width);
  params.value = fill.value & (fill.width == 4 ? 0xffffffffu : (1u << (8 * fill.width)) - 1);
  params.width = fill.count;
  params.height = 1;
  return params;
}

}  // namespace

struct CudaRecording::Node {
  const Operation* operation = nullptr;
  CudaRecording* recording = nullptr;
  CUgraphNode node = nullptr;
  bool is_kernel = false;  // our own, or the only one of a library's call
  // Of a kernel: what the driver reads when the node is made or patched.
  CUDA_KERNEL_NODE_PARAMS kernel{};
  std::vector<std::byte> parameters;
  std::size_t parameter_bytes = 0;
  std::array<void*, 5> extra{};

  void describe_kernel(const KernelLaunch& launch);
  static void CUDA_CB run_host_step(void* data);
};

void CudaRecording::Node::describe_kernel(const KernelLaunch& launch) {
  parameters.resize(launch.parameters.size());
  parameter_bytes = parameters.size();
  extra = {CU_LAUNCH_PARAM_BUFFER_POINTER, parameters.data(), CU_LAUNCH_PARAM_BUFFER_SIZE, &parameter_bytes, CU_LAUNCH_PARAM_END};
  kernel.func = launch.function;
  kernel.gridDimX = launch.grid.x;
  kernel.gridDimY = launch.grid.y;
  kernel.gridDimZ = launch.grid.z;
  kernel.blockDimX = launch.block.x;
  kernel.blockDimY = launch.block.y;
  kernel.blockDimZ = launch.block.z;
  kernel.sharedMemBytes = launch.shared_bytes;
  kernel.extra = extra.data();
  fill_parameters(launch, recording->bindings_.data(), parameters.data());
}

void CudaRecording::Node::run_host_step(void* data) {
  const auto& node = *static_cast<const Node*>(data);
  node.recording->host_errors_.load()->run(*std::get<HostCall>(node.operation->work).step, node.recording->bindings_.data());
}

/// Makes the graph's nodes.
class CudaRecording::Builder {
 public:
  explicit Builder(CudaRecording& recording) : r_(recording) {}

  void build() {
    const auto operations = r_.list_.operations();
    const auto dependencies = find_dependencies(operations, r_.bindings_.data());
    for (std::size_t i = 0; i < operations.size(); ++i) {
      node_ = r_.nodes_.emplace_back(std::make_unique<Node>()).get();
      node_->operation = &operations[i];
      node_->recording = &r_;
      note_slots(operations[i], static_cast<int>(i));
      std::visit([this](const auto& work) { add(work); }, operations[i].work);
      connect(dependencies[i]);
    }
  }

 private:
  void note_slots(const Operation& operation, int index) {
    const auto note = [&](std::size_t slot) {
      auto& nodes = r_.nodes_of_slot_.at(slot);
      if (nodes.empty() || nodes.back() != index) nodes.push_back(index);
    };
    if (const auto* launch = std::get_if<KernelLaunch>(&operation.work))
      for (const Patch& patch : launch->patches) note(static_cast<std::size_t>(patch.place.slot));
    else if (!std::holds_alternative<HostCall>(operation.work))
      for (const Access& access : operation.accesses) note(static_cast<std::size_t>(access.slot));
  }

  void add(const KernelLaunch& launch) {
    node_->describe_kernel(launch);
    node_->is_kernel = true;
    check(driver().cuGraphAddKernelNode(&node_->node, r_.graph_, nullptr, 0, &node_->kernel), "recording a kernel");
    if (launch.cluster.x * launch.cluster.y * launch.cluster.z <= 1) return;
    CUkernelNodeAttrValue value{};
    value.clusterDim = {launch.cluster.x, launch.cluster.y, launch.cluster.z};
    check(driver().cuGraphKernelNodeSetAttribute(node_->node, CU_KERNEL_NODE_ATTRIBUTE_CLUSTER_DIMENSION, &value), "recording a kernel's clusters");
  }
  void add(const MemoryCopy& copy) {
    const auto params = copy_params(copy, r_.bindings_.data());
    check(driver().cuGraphAddMemcpyNode(&node_->node, r_.graph_, nullptr, 0, &params, r_.list_.gpu()->context()), "recording a copy");
  }
  void add(const MemoryFill& fill) {
    const auto params = fill_params(fill, r_.bindings_.data());
    check(driver().cuGraphAddMemsetNode(&node_->node, r_.graph_, nullptr, 0, &params, r_.list_.gpu()->context()), "recording a fill");
  }
  void add(const LibraryCall&) {
    const GraphOwner captured(r_.capture(*node_->operation));
    if (const CUgraphNode kernel = only_kernel(captured.get())) {
      // By itself it may be followed programmatically.
      const auto params = params_of(kernel);
      check(driver().cuGraphAddKernelNode(&node_->node, r_.graph_, nullptr, 0, &params), "recording a library's kernel");
      check(driver().cuGraphKernelNodeCopyAttributes(node_->node, kernel), "recording a library's kernel");
      node_->is_kernel = true;
      return;
    }
    check(driver().cuGraphAddChildGraphNode(&node_->node, r_.graph_, nullptr, 0, captured.get()), "recording a library's work");
  }
  void add(const HostCall&) {
    r_.has_host_calls_ = true;
    const CUDA_HOST_NODE_PARAMS params{.fn = Node::run_host_step, .userData = node_};
    check(driver().cuGraphAddHostNode(&node_->node, r_.graph_, nullptr, 0, &params), "recording a host step");
  }

  void connect(const std::vector<int>& dependencies) {
    const auto* launch = std::get_if<KernelLaunch>(&node_->operation->work);
    for (const int dependency : dependencies) {
      const Node& before = *r_.nodes_[static_cast<std::size_t>(dependency)];
      CUgraphEdgeData edge{};
      if (launch != nullptr && launch->programmatic && before.is_kernel) {
        edge.type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC;
        edge.from_port = CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC;
      }
      check(driver().cuGraphAddDependencies(r_.graph_, &before.node, &node_->node, &edge, 1), "recording an order");
    }
  }

  CudaRecording& r_;
  Node* node_ = nullptr;
};

CudaRecording::CudaRecording(std::shared_ptr<const CommandList> list, std::span<void* const> bindings)
    : owned_list_(std::move(list)),
      list_(static_cast<const CudaCommandList&>(*owned_list_)),
      bindings_(bindings.begin(), bindings.end()),
      nodes_of_slot_(bindings.size()),
      changed_(list_.operations().size()) {
  const CurrentContext current(list_.gpu()->context());
  const Driver& cuda = driver();
  prepare_steps();
  check(cuda.cuGraphCreate(&graph_, 0), "making a graph");
  try {
    Builder(*this).build();
    check(cuda.cuGraphInstantiateWithFlags(&exec_, graph_, 0), "instantiating a graph");
    const auto stream = private_stream();
    check(cuda.cuGraphUpload(exec_, stream.get()), "uploading a graph");
    check(cuda.cuStreamSynchronize(stream.get()), "uploading a graph");
  } catch (...) {
    if (exec_ != nullptr) cuda.cuGraphExecDestroy(exec_);
    cuda.cuGraphDestroy(graph_);
    throw;
  }
}

CudaRecording::~CudaRecording() {
  const CurrentContext current(list_.gpu()->context());
  driver().cuGraphExecDestroy(exec_);
  driver().cuGraphDestroy(graph_);
}

void CudaRecording::prepare_steps() const {
  for (std::size_t i = 0; i < list_.steps().size(); ++i) {
    try {
      list_.steps()[i]->prepare_recording(bindings_.data());
    } catch (const std::exception& error) {
      throw CaptureFailed(error.what(), i);
    }
  }
}

CUgraph CudaRecording::capture(const Operation& operation) const {
  const Driver& cuda = driver();
  const auto stream = private_stream();
  const auto step = static_cast<std::size_t>(operation.step);
  check(cuda.cuStreamBeginCapture(stream.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "recording a library's work");
  std::optional<std::string> error;
  try {
    std::get<LibraryCall>(operation.work).enqueue(stream.get(), bindings_.data());
  } catch (const std::exception& thrown) {
    error = thrown.what();
  }
  CUgraph graph = nullptr;
  const CUresult result = cuda.cuStreamEndCapture(stream.get(), &graph);
  GraphOwner owner(graph);
  if (!error && result != CUDA_SUCCESS) error = fmt::format("[device/cuda] recording a library's work failed ({})", error_text(result));
  if (error) throw CaptureFailed(*error, step);
  return owner.release();
}

void CudaRecording::replay(Stream& stream, std::span<void* const> bindings) {
  REPRISE_CHECK(bindings.size() == bindings_.size(), InvalidArgument, "[device/replay] wrong number of binding slots (got {}, want {})", bindings.size(),
                bindings_.size());
  auto& cuda_stream = static_cast<CudaStream&>(stream);
  const CurrentContext current(list_.gpu()->context());
  if (std::memcmp(bindings.data(), bindings_.data(), bindings.size_bytes()) != 0) patch(bindings, cuda_stream);
  if (has_host_calls_) host_errors_ = &cuda_stream.host_errors();
  if (list_.faults() != nullptr) cuda_stream.watch(list_.faults());
  check(driver().cuGraphLaunch(exec_, cuda_stream.get()), "launching a graph");
}

void CudaRecording::patch(std::span<void* const> bindings, CudaStream& stream) {
  // Host steps read the table when they run.
  if (has_host_calls_) check(driver().cuStreamSynchronize(stream.get()), "the GPU's work");
  for (std::size_t slot = 0; slot < bindings.size(); ++slot) {
    if (bindings[slot] == bindings_[slot]) continue;
    bindings_[slot] = bindings[slot];
    ++patched_slots_;
    for (const int node : nodes_of_slot_[slot]) changed_[static_cast<std::size_t>(node)] = 1;
  }
  try {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (std::exchange(changed_[i], 0) != 0) patch(*nodes_[i]);
  } catch (...) {
    std::fill(bindings_.begin(), bindings_.end(), nullptr);  // the next replay patches everything
    throw;
  }
}

void CudaRecording::patch(Node& node) {
  const Driver& cuda = driver();
  const auto& work = node.operation->work;
  CUcontext context = list_.gpu()->context();
  if (const auto* launch = std::get_if<KernelLaunch>(&work)) {
    fill_parameters(*launch, bindings_.data(), node.parameters.data());
    check(cuda.cuGraphExecKernelNodeSetParams(exec_, node.node, &node.kernel), "patching a kernel");
  } else if (const auto* copy = std::get_if<MemoryCopy>(&work)) {
    const auto params = copy_params(*copy, bindings_.data());
    check(cuda.cuGraphExecMemcpyNodeSetParams(exec_, node.node, &params, context), "patching a copy");
  } else if (const auto* fill = std::get_if<MemoryFill>(&work)) {
    const auto params = fill_params(*fill, bindings_.data());
    check(cuda.cuGraphExecMemsetNodeSetParams(exec_, node.node, &params, context), "patching a fill");
  } else if (std::holds_alternative<LibraryCall>(work)) {
    const GraphOwner captured(capture(*node.operation));
    if (node.is_kernel) {
      const CUgraphNode kernel = only_kernel(captured.get());
      REPRISE_CHECK(kernel != nullptr, DeviceError, "[device/replay] a library's call is no longer one kernel with other addresses");
      const auto params = params_of(kernel);
      check(cuda.cuGraphExecKernelNodeSetParams(exec_, node.node, &params), "patching a library's kernel");
      return;
    }
    check(cuda.cuGraphExecChildGraphNodeSetParams(exec_, node.node, captured.get()), "patching a library's work");
  }
}

std::size_t CudaRecording::size_bytes() const { return sizeof(*this) + bindings_.size() * sizeof(void*) + nodes_.size() * (sizeof(Node) + kNodeBytes); }

}  // namespace reprise::device::cuda
