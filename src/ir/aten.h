// The ATen-level graph: what a `.pt2` file says, checked and with names resolved, before any rewriting.
//
// Values are named, as in the file; a name is defined once per graph (an input or a node's output) and subgraphs see only their own names.
// The importer guarantees: every value that a node reads is defined before it; every tensor name has a TensorMeta.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "reprise/device.h"
#include "reprise/dtype.h"
#include "reprise/tensor.h"
#include "sym/evaluate.h"
#include "sym/expr.h"

namespace reprise::ir {

/// Sizes, strides and dtype of a tensor as exported. `strides` and `storage_offset` describe the exporter's layout; only a hint here.
struct TensorMeta {
  DType dtype = DType::f32;
  sym::Shape sizes;
  sym::Shape strides;
  sym::Expr storage_offset;
};

struct AtenGraph;

struct None {
  friend bool operator==(None, None) = default;
};
/// A use of a named tensor.
struct TensorName {
  std::string name;
};
/// Layouts and memory formats are kept by PyTorch's number (contiguous 1, channels_last 2, channels_last_3d 3, preserve 4; strided layout 7).
struct Layout {
  int value = 0;
};
struct MemoryFormat {
  int value = 0;
};
struct ScalarTypeArg {
  DType value;
};
/// A Python complex number; only converters that can do with it look at it.
struct ComplexArg {
  double real = 0, imag = 0;
};

/// An argument of a node. Symbolic integers, reals and booleans that name a node's output are already replaced by their expressions (a sym value that
/// is computed from data stands as its unbacked symbol). `vector<optional<TensorName>>` is a Tensor?[] or Tensor[] list, and also an empty list of
/// integers where the exporter did not know what kind of list it is.
using Arg = std::variant<None, TensorName, std::vector<std::optional<TensorName>>, bool, sym::Expr, double, std::string, std::vector<sym::Expr>,
                         std::vector<double>, std::vector<bool>, std::vector<std::string>, std::vector<std::vector<sym::Expr>>, ScalarTypeArg, Layout,
                         MemoryFormat, Device, ComplexArg, std::shared_ptr<const AtenGraph>>;

struct NamedArg {
  std::string name;  // empty: positional (higher-order ops)
  Arg value;
};

/// What a node returns: a tensor, a list of tensors (Tensor[]; or a cond's results), a symbolic scalar, or nothing (None).
struct SymOutput {
  std::string name;
  sym::Expr value;  // what the file says it equals; an unbacked symbol for item()
};
using Output = std::variant<None, TensorName, std::vector<TensorName>, SymOutput>;

/// Where a node comes from, for messages.
struct Source {
  std::string name;   // the node's own name or its first output's
  std::string trace;  // the innermost Python line outside PyTorch: `file.py:48, in forward: x.sum()`; empty when the file has none
};

struct AtenNode {
  std::string
      target;  // without "torch.ops.": "aten.add.Tensor", "higher_order.cond", "_operator.mul", "torchvision.nms.default", "math.trunc", "torch.sym_max"
  std::vector<NamedArg> args;
  std::vector<Output> outputs;
  Source source;
};

struct AtenGraph {
  std::vector<Arg> inputs;   // TensorName, or a constant / symbolic scalar for inputs that are not tensors
  std::vector<Arg> outputs;  // TensorName, Expr, double, bool, string or None
  std::vector<AtenNode> nodes;
  std::unordered_map<std::string, TensorMeta> tensors;
};

// ---- the program around the graph -------------------------------------------------------------------------------------------------------

enum class InputKind : std::uint8_t { user, parameter, buffer, tensor_constant, constant };  // constant: a Python value fixed at export

struct ProgramInput {
  InputKind kind = InputKind::user;
  std::string name;        // of the value in the graph (user, weights) or of the argument (constant)
  std::string target;      // parameter / buffer / constant name, e.g. "layer1.0.conv1.weight"
  bool persistent = true;  // buffers
  Arg constant;            // kind constant: the value that calls must pass
  // A user input that is a symbolic integer rather than a tensor stands in graph.inputs as its Expr.
};

enum class OutputKind : std::uint8_t { user, buffer_mutation, user_input_mutation, parameter_mutation, ignored };  // ignored: tokens, losses, gradients

struct ProgramOutput {
  OutputKind kind = OutputKind::user;
  std::string target;  // mutated buffer's or parameter's name, or the mutated user input's value name
};

/// One named tensor of the file. Several may share `data`'s storage (tied weights, views).
struct ProgramTensor {
  std::string name;
  Tensor data;  // memory mapped from the file where its alignment allows; keeps the mapping alive
};

/// Order and nesting of arguments and results, kept as PyTorch's treespec text and flattened to names for users.
struct CallSpec {
  std::string in_spec, out_spec;          // JSON text from the file; may be empty
  std::vector<std::string> input_names;   // one per flattened user input (tensors and constants), e.g. "tokens", "extra.bias.0"
  std::vector<std::string> output_names;  // one per flattened user output, e.g. "logits", "sides.0"; "output_0" when the tree gives no name
};

struct Program {
  std::string torch_version;
  int schema_major = 0, schema_minor = 0;
  bool functional = false;  // verifier ATEN: after run_decompositions
  AtenGraph graph;          // its inputs match `inputs`, its outputs match `outputs`, one to one
  std::vector<ProgramInput> inputs;
  std::vector<ProgramOutput> outputs;
  CallSpec call;
  sym::SymbolTable symbols;                      // with ranges and hints
  std::map<std::string, ProgramTensor> tensors;  // by parameter / buffer / constant name
  std::vector<Tensor> sample_inputs;  // flattened user inputs at export where the file holds them as tensors (undefined entry: not a tensor); may be empty
};

}  // namespace reprise::ir
