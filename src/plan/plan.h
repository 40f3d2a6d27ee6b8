// The plan: a compiled module as data. Immutable once built; a `.rpz` file holds exactly this.
//
// Memory is named by buffers; commands name buffers, never addresses. Sizes, strides and offsets are expressions over the plan's symbols and are evaluated
// when a call's shapes are bound. Commands stand in blocks: block 0 is the program, others are branches and loop bodies that a `cond` or `while_loop`
// command names. A command that `defines` symbols ends a stage: what follows in execution order is bound when their values are known.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/attrs.h"
#include "core/op.h"
#include "reprise/device.h"
#include "reprise/dtype.h"
#include "reprise/tensor.h"
#include "sym/evaluate.h"
#include "sym/expr.h"

namespace reprise::plan {

using BufferId = std::int32_t;

enum class BufferKind : std::uint8_t {
  temp = 0,    // lives in the context's arena from command `first` to command `last`
  input = 1,   // index: signature input; the caller's memory (or a staged copy)
  output = 2,  // index: signature output; made for the call, or the caller's memory
  weight = 3,  // index: Plan::weights
  state = 4    // index: Plan::states; belongs to the module
};

struct Buffer {
  BufferKind kind = BufferKind::temp;
  int index = -1;
  std::string name;
  /// Bytes to hold. Where the size depends on data and a bound is known, this is the bound, in symbols known at the start of the call.
  sym::Expr size_bytes;
  /// Depends on data with no known bound: allocated when its stage is bound, not part of the arena's plan.
  bool dynamic = false;
  /// First and last command that touch it, in the plan's linear order (blocks nested where their command stands). Temps only; a buffer that a loop
  /// needs in its next round lives for the whole loop.
  std::int32_t first = -1, last = -1;
};

/// A tensor seen by a command: a strided window of a buffer.
struct Operand {
  BufferId buffer = -1;
  DType dtype = DType::f32;
  sym::Shape sizes, strides;  // elements
  sym::Expr offset;           // elements from the buffer's start
};

/// Symbol `symbol` takes its value from element `element` of output operand `output` (i64 vector `count`), or of input 0 for `item` (output -1).
struct Define {
  int symbol = -1;
  int output = -1;
  int element = 0;
};

struct Command {
  core::Op op = core::Op::copy;
  std::vector<Operand> inputs, outputs;
  core::Attrs attrs;
  std::vector<int> blocks;  // cond: then, else. while_loop: condition, body
  std::vector<Define> defines;
  std::int32_t position = 0;  // in the linear order
  int segment = 0;
  std::string name, trace;  // the ATen node, its Python line
};
// cond:       inputs[0] is the predicate; the blocks write the command's outputs themselves.
// while_loop: outputs are the carried buffers, already holding the initial values; input 0 is the predicate's operand, written by block 0; block 1 updates the
//             carried buffers. Runs: block 0, while predicate: block 1, block 0.

struct Block {
  std::vector<Command> commands;
};

struct Weight {
  std::string name;
  Tensor data;          // contiguous; mapped from the file where possible
  bool mapped = false;  // `data` is part of a file's read-only mapping: its pages may be dropped and come again
};

struct StateSpec {
  std::string name;
  Tensor initial;  // contiguous
};

/// A Python value fixed at export: calls that pass it must pass this.
using ConstantValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

struct InputSpec {
  enum class Kind : std::uint8_t { tensor = 0, integer = 1, constant = 2 } kind = Kind::tensor;  // integer: a symbolic int passed as a 0-d i64 tensor
  std::string name;
  DType dtype = DType::f32;
  sym::Shape sizes;  // tensor
  sym::Expr value;   // integer: the expression (usually a symbol) that it binds
  ConstantValue constant;
  bool mutated = false;  // the call writes into the caller's tensor
  Tensor sample;         // small integer samples from export (valid token ids); may be undefined
};

struct OutputSpec {
  enum class Kind : std::uint8_t { tensor = 0, integer = 1, real = 2, boolean = 3, text = 4, none = 5 } kind = Kind::tensor;
  std::string name;
  DType dtype = DType::f32;  // tensor
  sym::Shape sizes;          // tensor; row-major
  sym::Expr value;           // integer, real, boolean
  std::string text;
};

/// min / opt / max of every symbol that inputs bind, in Plan::symbols order (unbacked ones: their ranges).
struct Profile {
  std::vector<std::int64_t> min, opt, max;
};

struct Segment {
  bool engine = true;
  std::string reason;  // why it fell back
};

struct Settings {
  Device device;
  std::string dtype;  // "" as exported, "bf16", "f16", "f32"
  int threads = 0;    // 0: as many as the machine has
  int optimization_level = 3;
  bool enable_weight_streaming = false;
  bool packed_weights = false;      // a saved module holds the forms that the CPU's kernels want weights in
  std::string cuda_graph_strategy;  // "": disabled
  std::vector<std::string> fallback_ops;
};

/// Bytes that only a device's own library reads (kernels/ahead.h): compiled kernels, what was measured.
struct Section {
  std::string name;  // "programs.json"
  Tensor bytes;      // u8, one dimension; mapped from the file where possible
};

struct Plan {
  std::string producer;       // "reprise 0.1.0"
  std::string torch_version;  // of the exported program
  Settings settings;
  sym::SymbolTable symbols;
  std::vector<InputSpec> inputs;    // flattened user inputs
  std::vector<OutputSpec> outputs;  // flattened user outputs
  std::vector<Buffer> buffers;
  std::vector<Block> blocks;
  std::vector<Weight> weights;
  std::vector<StateSpec> states;
  std::vector<Profile> profiles;  // at least one
  std::vector<Segment> segments;
  std::vector<Section> sections;  // of the device that it was compiled for; may be absent
  std::string in_spec, out_spec;  // PyTorch's treespecs, for front ends
};

/// Made of plans that are not const: who holds one alone may change it.
using PlanPtr = std::shared_ptr<const Plan>;

/// Every index inside its list, operands inside their buffers where it can be proved, lifetimes ordered, attributes of the right types, symbols known,
/// blocks a tree. Throws FormatError "[plan/verify] …" that names the entry. What a file holds goes through this before anything uses it.
void verify(const Plan& plan);

/// Text for people: signature, buffers, commands.
std::string print(const Plan& plan);

}  // namespace reprise::plan
