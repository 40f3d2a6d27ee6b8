#include "device/cuda/recording.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "device/cuda/capture.h"
#include "device/cuda/dependencies.h"

namespace reprise::device::cuda {
namespace {

// What the driver keeps for a node of an instantiated graph, on the host and on the GPU; it does not tell.
constexpr std::size_t kNodeBytes = 2048;

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
  CUgraphNode first = nullptr, last = nullptr;  // the same, but for a library's call
  std::vector<CUgraphNode> library_kernels;     // of a call that is nothing else, one after the other
  bool is_kernel = false;                       // `last`
  bool early = false;                           // `first` may start before a kernel that it comes after has ended
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
      before_ = dependencies[i];
      std::visit([this](const auto& work) { add(work); }, operations[i].work);
      if (node_->first == nullptr) node_->first = node_->last;
      connect();
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
    node_->early = launch.programmatic;
    check(driver().cuGraphAddKernelNode(&node_->last, r_.graph_, nullptr, 0, &node_->kernel), "recording a kernel");
    if (launch.cluster.x * launch.cluster.y * launch.cluster.z <= 1) return;
    CUkernelNodeAttrValue value{};
    value.clusterDim = {launch.cluster.x, launch.cluster.y, launch.cluster.z};
    check(driver().cuGraphKernelNodeSetAttribute(node_->last, CU_KERNEL_NODE_ATTRIBUTE_CLUSTER_DIMENSION, &value), "recording a kernel's clusters");
  }
  void add(const MemoryCopy& copy) {
    const auto params = copy_params(copy, r_.bindings_.data());
    check(driver().cuGraphAddMemcpyNode(&node_->last, r_.graph_, nullptr, 0, &params, r_.list_.gpu()->context()), "recording a copy");
  }
  void add(const MemoryFill& fill) {
    const auto params = fill_params(fill, r_.bindings_.data());
    check(driver().cuGraphAddMemsetNode(&node_->last, r_.graph_, nullptr, 0, &params, r_.list_.gpu()->context()), "recording a fill");
  }
  void add(const LibraryCall& call) {
    const CapturedCall captured(*node_->operation, r_.bindings_.data(), call.early ? any_kernel_before() : nullptr);
    for (const auto& kernel : captured.kernels()) add(kernel);
    if (captured.kernels().empty()) {
      check(driver().cuGraphAddChildGraphNode(&node_->last, r_.graph_, nullptr, 0, captured.graph()), "recording a library's work");
      return;
    }
    node_->first = node_->library_kernels.front();
    node_->is_kernel = true;
    node_->early = captured.kernels().front().early;
  }
  /// One more of a library's call, behind the last. By itself it may be followed programmatically.
  void add(const CapturedCall::Kernel& kernel) {
    const CUgraphNode before = node_->last;
    const auto params = params_of(kernel.node);
    check(driver().cuGraphAddKernelNode(&node_->last, r_.graph_, nullptr, 0, &params), "recording a library's kernel");
    check(driver().cuGraphKernelNodeCopyAttributes(node_->last, kernel.node), "recording a library's kernel");
    node_->library_kernels.push_back(node_->last);
    if (before != nullptr) order(before, node_->last, kernel.early);
  }
  void add(const HostCall&) {
    r_.has_host_calls_ = true;
    const CUDA_HOST_NODE_PARAMS params{.fn = Node::run_host_step, .userData = node_};
    check(driver().cuGraphAddHostNode(&node_->last, r_.graph_, nullptr, 0, &params), "recording a host step");
  }

  void connect() {
    for (const int i : before_) order(node_at(i).last, node_->first, node_->early && node_at(i).is_kernel);
  }
  void order(CUgraphNode before, CUgraphNode after, bool programmatic) {
    CUgraphEdgeData edge{};
    if (programmatic) {
      edge.type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC;
      edge.from_port = CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC;
    }
    check(driver().cuGraphAddDependencies(r_.graph_, &before, &after, &edge, 1), "recording an order");
  }
  const Node& node_at(int index) const { return *r_.nodes_[static_cast<std::size_t>(index)]; }
  /// Null: there is none.
  CUgraphNode any_kernel_before() const {
    const auto found = std::find_if(before_.begin(), before_.end(), [&](int i) { return node_at(i).is_kernel; });
    return found != before_.end() ? node_at(*found).last : nullptr;
  }

  CudaRecording& r_;
  Node* node_ = nullptr;
  std::span<const int> before_;  // indices of the operations that `node_` comes after
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
    check(cuda.cuGraphExecKernelNodeSetParams(exec_, node.last, &node.kernel), "patching a kernel");
  } else if (const auto* copy = std::get_if<MemoryCopy>(&work)) {
    const auto params = copy_params(*copy, bindings_.data());
    check(cuda.cuGraphExecMemcpyNodeSetParams(exec_, node.last, &params, context), "patching a copy");
  } else if (const auto* fill = std::get_if<MemoryFill>(&work)) {
    const auto params = fill_params(*fill, bindings_.data());
    check(cuda.cuGraphExecMemsetNodeSetParams(exec_, node.last, &params, context), "patching a fill");
  } else if (std::holds_alternative<LibraryCall>(work)) {
    patch_library(node);
  }
}

void CudaRecording::patch_library(const Node& node) {
  const CapturedCall captured(*node.operation, bindings_.data(), nullptr);
  if (!node.is_kernel) {
    check(driver().cuGraphExecChildGraphNodeSetParams(exec_, node.last, captured.graph()), "patching a library's work");
    return;
  }
  REPRISE_CHECK(captured.kernels().size() == node.library_kernels.size(), DeviceError,
                "[device/replay] a library's call has become another with other addresses (got {} kernels, want {})", captured.kernels().size(),
                node.library_kernels.size());
  for (std::size_t i = 0; i < node.library_kernels.size(); ++i) {
    const auto params = params_of(captured.kernels()[i].node);
    check(driver().cuGraphExecKernelNodeSetParams(exec_, node.library_kernels[i], &params), "patching a library's kernel");
  }
}

std::size_t CudaRecording::size_bytes() const { return sizeof(*this) + bindings_.size() * sizeof(void*) + nodes_.size() * (sizeof(Node) + kNodeBytes); }

}  // namespace reprise::device::cuda
