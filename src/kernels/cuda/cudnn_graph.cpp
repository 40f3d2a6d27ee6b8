#include "kernels/cuda/cudnn_graph.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>

namespace reprise::kernels::cuda {
namespace {

enum Id : std::int64_t { kX = 1, kW, kY, kBias, kOperands = 10, kVirtual = 100, kConstants = 200 };

using core::Instr;
using core::ScalarOp;

cudnnDataType_t data_type(DType dtype) { return dtype == DType::f16 ? CUDNN_DATA_HALF : dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

std::optional<cudnnPointwiseMode_t> mode_of(ScalarOp op) {
  static const std::map<ScalarOp, cudnnPointwiseMode_t> kModes{{ScalarOp::add, CUDNN_POINTWISE_ADD},       {ScalarOp::sub, CUDNN_POINTWISE_SUB},
                                                               {ScalarOp::mul, CUDNN_POINTWISE_MUL},       {ScalarOp::div, CUDNN_POINTWISE_DIV},
                                                               {ScalarOp::maximum, CUDNN_POINTWISE_MAX},   {ScalarOp::minimum, CUDNN_POINTWISE_MIN},
                                                               {ScalarOp::neg, CUDNN_POINTWISE_NEG},       {ScalarOp::abs, CUDNN_POINTWISE_ABS},
                                                               {ScalarOp::exp, CUDNN_POINTWISE_EXP},       {ScalarOp::log, CUDNN_POINTWISE_LOG},
                                                               {ScalarOp::sqrt, CUDNN_POINTWISE_SQRT},     {ScalarOp::rsqrt, CUDNN_POINTWISE_RSQRT},
                                                               {ScalarOp::tanh, CUDNN_POINTWISE_TANH_FWD}, {ScalarOp::sigmoid, CUDNN_POINTWISE_SIGMOID_FWD},
                                                               {ScalarOp::erf, CUDNN_POINTWISE_ERF}};
  const auto found = kModes.find(op);
  return found == kModes.end() ? std::nullopt : std::optional(found->second);
}

/// One pointwise node: value = mode(a, b). Values count on from the conv's result, 0; negative ones are leaves.
struct Pointwise {
  cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  int a = 0, b = 0;
  bool binary = false;
};

struct Leaf {
  enum class Kind : std::uint8_t { bias, operand, constant } kind = Kind::bias;
  int index = 0;
  double value = 0;
};

/// What follows a conv as pointwise nodes.
struct Chain {
  std::vector<Pointwise> nodes;
  std::vector<Leaf> leaves;

  int leaf(Leaf l) {
    leaves.push_back(l);
    return -static_cast<int>(leaves.size());
  }
  int add(Pointwise node) {
    nodes.push_back(node);
    return static_cast<int>(nodes.size());
  }
};

/// Appends an epilogue's program to a chain.
class Appender {
 public:
  Appender(Chain& chain, const core::ScalarProgram& program, int result) : chain_(chain), program_(program), result_(result), values_(program.code.size()) {}

  /// False: an operation has no counterpart.
  bool run() {
    for (std::size_t v = 0; v < program_.code.size(); ++v) {
      if (!is_floating(program_.code[v].type) || program_.code[v].type == DType::f64 || !append(v)) return false;
    }
    return !chain_.nodes.empty() && of(program_.outputs[0]) == static_cast<int>(chain_.nodes.size());
  }

 private:
  [[nodiscard]] const Instr& at(int v) const { return program_.code[static_cast<std::size_t>(v)]; }
  [[nodiscard]] bool is_zero(int v) const { return at(v).op == ScalarOp::constant && at(v).imm_real == 0; }
  /// Constants become leaves where they are used: cuDNN wants no others.
  int of(int v) {
    std::optional<int>& value = values_[static_cast<std::size_t>(v)];
    if (!value) value = chain_.leaf({Leaf::Kind::constant, 0, at(v).imm_real});
    return *value;
  }

  bool append(std::size_t v) {
    const Instr& i = program_.code[v];
    if (i.op == ScalarOp::constant) return true;
    if (i.op == ScalarOp::input) {
      values_[v] = i.imm_int == 0 ? result_ : chain_.leaf({Leaf::Kind::operand, static_cast<int>(i.imm_int) - 1, 0});
    } else if (i.op == ScalarOp::cast) {
      values_[v] = of(i.a);
    } else if (i.op == ScalarOp::maximum && (is_zero(i.a) || is_zero(i.b))) {
      values_[v] = chain_.add({CUDNN_POINTWISE_RELU_FWD, of(is_zero(i.a) ? i.b : i.a)});
    } else if (const auto mode = mode_of(i.op)) {
      const bool binary = core::operand_count(i.op) == 2;
      const int a = of(i.a), b = binary ? of(i.b) : 0;
      values_[v] = chain_.add({*mode, a, b, binary});
    } else {
      return false;
    }
    return true;
  }

  Chain& chain_;
  const core::ScalarProgram& program_;
  int result_;
  std::vector<std::optional<int>> values_;
};

/// Sizes and strides as cuDNN wants them: at least two spatial dimensions, and strides of dimensions of size 1 as if packed, since they tell it the layout.
struct Shape {
  std::vector<std::int64_t> sizes, strides;
};

Shape shape_of(const OperandRef& operand, bool channels_last) {
  Shape s;
  for (int d = 0; d < operand.rank; ++d) {
    if (d == 2 && operand.rank == 3) {
      s.sizes.push_back(1);
      s.strides.push_back(0);
    }
    s.sizes.push_back(operand.sizes[d]);
    s.strides.push_back(operand.strides[d]);
  }
  // From the innermost dimension outwards: channels last, or as they stand.
  std::vector<std::size_t> order;
  if (channels_last) order.push_back(1);
  for (std::size_t d = s.sizes.size(); d-- > 0;) {
    if (d != 1 || !channels_last) order.push_back(d);
  }
  std::int64_t step = 1;
  for (const std::size_t d : order) {
    if (s.sizes[d] == 1) s.strides[d] = step;
    step = std::max(step, s.sizes[d] * s.strides[d]);
  }
  return s;
}

}  // namespace

class CudnnGraphBuilder {
 public:
  CudnnGraphBuilder(CudnnLibrary& library, const SplitSpec& conv) : library_(library), spec_(conv.spec), epilogue_(conv.epilogue) {
    channels_last_ = spec_.inputs[0].strides[1] == 1 && spec_.inputs[0].sizes[1] > 1;
  }

  std::shared_ptr<const CudnnGraph> build(bool fused) {
    Chain chain;
    if (fused && !describe_chain(chain)) return nullptr;
    const OperandRef& y = spec_.outputs[0];
    const auto x = tensor(kX, spec_.inputs[0]), w = tensor(kW, spec_.inputs[1]);
    std::vector<std::size_t> values{chain.nodes.empty() ? tensor(kY, y) : virtual_tensor(y)}, operations;
    std::vector<std::size_t> leaves;
    for (const Leaf& l : chain.leaves) leaves.push_back(leaf(l));
    operations.push_back(convolution(x, w, values[0]));
    for (const Pointwise& node : chain.nodes) {
      const bool last = &node == &chain.nodes.back();
      values.push_back(last ? tensor(kY, y) : virtual_tensor(y));
      const auto source = [&](int value) { return value >= 0 ? values[static_cast<std::size_t>(value)] : leaves[static_cast<std::size_t>(-value - 1)]; };
      operations.push_back(pointwise(node, source(node.a), node.binary ? source(node.b) : 0, values.back()));
    }
    finish(operations);
    return graph_;
  }

 private:
  bool describe_chain(Chain& chain) const {
    int result = 0;
    if (spec_.inputs.size() > 2) result = chain.add({CUDNN_POINTWISE_ADD, 0, chain.leaf({Leaf::Kind::bias, 0, 0}), true});
    return !epilogue_ || Appender(chain, *epilogue_.program, result).run();
  }

  std::size_t keep(CudnnDescriptor&& descriptor) {
    graph_->descriptors_.push_back(std::move(descriptor));
    return graph_->descriptors_.size() - 1;
  }
  [[nodiscard]] const CudnnDescriptor& at(std::size_t index) const { return graph_->descriptors_[index]; }

  std::size_t describe(std::int64_t id, cudnnDataType_t type, const Shape& shape, std::int64_t alignment, bool is_virtual, bool by_value) {
    CudnnDescriptor d(library_, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
        .set_many<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS, shape.sizes)
        .set_many<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES, shape.strides)
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment)
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual)
        .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, by_value)
        .finalize();
    return keep(std::move(d));
  }

  std::size_t tensor(std::int64_t id, const OperandRef& operand, const Shape& shape) {
    const std::int64_t bits = static_cast<std::int64_t>(device::cuda::kSlotAlignment) | (operand.offset * static_cast<std::int64_t>(item_size(operand.dtype)));
    graph_->arguments_.push_back(id);
    return describe(id, data_type(operand.dtype), shape, bits & -bits, false, false);
  }
  std::size_t tensor(std::int64_t id, const OperandRef& operand) { return tensor(id, operand, shape_of(operand, channels_last_)); }
  std::size_t virtual_tensor(const OperandRef& like) {
    return describe(kVirtual + static_cast<std::int64_t>(graph_->descriptors_.size()), CUDNN_DATA_FLOAT, shape_of(like, channels_last_), 16, true, false);
  }

  std::size_t leaf(const Leaf& l) {
    const int rank = std::max(4, spec_.outputs[0].rank);
    if (l.kind == Leaf::Kind::operand) return tensor(kOperands + l.index, epilogue_.operands[static_cast<std::size_t>(l.index)]);
    Shape shape{std::vector<std::int64_t>(static_cast<std::size_t>(rank), 1), std::vector<std::int64_t>(static_cast<std::size_t>(rank), 1)};
    if (l.kind == Leaf::Kind::bias) {
      OperandRef bias = spec_.inputs[2];
      shape.sizes[1] = bias.sizes[0];
      shape.strides.assign(shape.strides.size(), bias.sizes[0]);
      shape.strides[1] = bias.sizes[0] == 1 ? 1 : bias.strides[0];
      if (channels_last_) std::fill(shape.strides.begin() + 2, shape.strides.end(), bias.sizes[0]);
      return tensor(kBias, bias, shape);
    }
    const std::int64_t id = kConstants + static_cast<std::int64_t>(graph_->constants_.size());
    graph_->constants_.push_back(std::make_unique<CudnnGraph::Constant>(CudnnGraph::Constant{id, static_cast<float>(l.value)}));
    return describe(id, CUDNN_DATA_FLOAT, shape, 16, false, true);
  }

  /// Stride, padding or dilation of two or three dimensions.
  [[nodiscard]] std::vector<std::int64_t> spatial(const char* key, std::int64_t missing) const {
    std::vector<std::int64_t> values = spec_.attrs->ints(key);
    if (values.size() == 1) values.insert(values.begin(), missing);
    return values;
  }

  std::size_t convolution(std::size_t x, std::size_t w, std::size_t y) {
    const std::vector<std::int64_t> stride = spatial("stride", 1), padding = spatial("padding", 0), dilation = spatial("dilation", 1);
    CudnnDescriptor d(library_, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    d.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, static_cast<std::int64_t>(stride.size()))
        .set_many<std::int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding)
        .set_many<std::int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding)
        .set_many<std::int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS, dilation)
        .set_many<std::int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride)
        .finalize();
    const std::size_t kind = keep(std::move(d));
    return spec_.attrs->flag("transposed", false) ? backward_data(kind, x, w, y) : forward(kind, x, w, y);
  }

  std::size_t forward(std::size_t kind, std::size_t x, std::size_t w, std::size_t y) {
    CudnnDescriptor d(library_, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, at(x))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, at(w))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, at(y))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, at(kind))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0F)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0F)
        .finalize();
    return keep(std::move(d));
  }

  // A transposed convolution is the gradient of a convolution with regard to its input.
  std::size_t backward_data(std::size_t kind, std::size_t x, std::size_t w, std::size_t y) {
    CudnnDescriptor d(library_, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, at(y))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, at(w))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, at(x))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, at(kind))
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1.0F)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0.0F)
        .finalize();
    return keep(std::move(d));
  }

  std::size_t pointwise(const Pointwise& node, std::size_t a, std::size_t b, std::size_t y) {
    CudnnDescriptor kind(library_, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    kind.set(CUDNN_ATTR_POINTWISE_MODE, node.mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    if (node.mode == CUDNN_POINTWISE_RELU_FWD) {
      kind.set(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN)
          .set(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0.0)
          .set(CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, static_cast<double>(std::numeric_limits<float>::max()))
          .set(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0.0);
    }
    kind.finalize();
    const std::size_t kind_at = keep(std::move(kind));
    CudnnDescriptor d(library_, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, at(kind_at))
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, at(a))
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, at(y))
        .set(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1.0F)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1.0F);
    if (node.binary) d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, at(b));
    d.finalize();
    return keep(std::move(d));
  }

  void finish(const std::vector<std::size_t>& operations) {
    std::vector<cudnnBackendDescriptor_t> raw;
    for (const std::size_t i : operations) raw.push_back(at(i).get());
    const CudnnLibrary::Handle handle(library_);
    CudnnDescriptor d(library_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    d.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle.get()).set_many<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATIONGRAPH_OPS, raw).finalize();
    keep(std::move(d));
  }

  CudnnLibrary& library_;
  const StepSpec& spec_;
  const Epilogue& epilogue_;
  bool channels_last_ = false;
  std::shared_ptr<CudnnGraph> graph_ = std::make_shared<CudnnGraph>();
};

std::shared_ptr<const CudnnGraph> CudnnGraph::make(CudnnLibrary& library, const SplitSpec& conv, bool fused) {
  return CudnnGraphBuilder(library, conv).build(fused);
}

const OperandRef& CudnnGraph::operand(const SplitSpec& conv, std::int64_t id) {
  if (id >= kOperands) return conv.epilogue.operands[static_cast<std::size_t>(id - kOperands)];
  return id == kY ? conv.spec.outputs[0] : conv.spec.inputs[static_cast<std::size_t>(id == kBias ? 2 : id - kX)];
}

}  // namespace reprise::kernels::cuda
