// The interpreter of pointwise programs: tiles of kTile elements, each instruction one loop over the tile.
//
// A value lives in a register (kTile items of scratch) or, where memory already holds it as wanted, in the operand itself. Values that do not change
// from tile to tile (constants, symbols, operands that are one element, and what is computed from them) are made once per thread.
#include <algorithm>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/scalar_kernels.h"
#include "kernels/reference/step.h"
#include "kernels/reference/strided.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::reference {
namespace {

using core::Instr;
using core::ScalarOp;

constexpr std::int64_t kTile = 1024;

struct Load {
  int value, reg;  // reg -1: used where it lies
  OperandRef operand;
  Reader reader;
};
struct Compute {
  ScalarKernel kernel;
  int value;
  std::array<int, 3> operands;
};
struct Constant {
  int value;
  DType type;
  sym::Number number;
};
struct Store {
  int value;
  OperandRef operand;
  Writer writer;
};

/// A program with its layout chosen.
struct Interpreter {
  std::vector<Constant> constants;
  std::vector<Load> uniform_loads, loads;
  std::vector<Compute> uniform_code, code;
  std::vector<Store> stores;
  std::vector<int> registers;  // of each value; -1: none
  int direct_value = -1;       // computed straight into the output that stores[0] names
  std::size_t register_bytes = 0, worker_bytes = 0;
  std::int64_t numel = 0, grain = 1;
  int threads = 1;

  void run(void* const* bindings, std::byte* scratch) const;
  void run_range(void* const* bindings, std::int64_t begin, std::int64_t end, std::byte* scratch) const;
};

template <class T>
void fill(void* dst, const sym::Number& number) {
  const auto value = number.is_real ? convert<compute_t<T>>(number.real) : convert<compute_t<T>>(number.integer);
  std::fill_n(static_cast<compute_t<T>*>(dst), kTile, value);
}

void compute(std::span<const Compute> code, const std::byte** values, std::int64_t n) {
  const auto at = [&](int v) { return v < 0 ? nullptr : values[v]; };
  for (const Compute& c : code) c.kernel(const_cast<std::byte*>(values[c.value]), at(c.operands[0]), at(c.operands[1]), at(c.operands[2]), n);
}

void load(std::span<const Load> loads, const std::byte** values, void* const* bindings, std::int64_t begin, std::int64_t n) {
  for (const Load& l : loads) {
    const std::byte* base = l.operand.at(bindings);
    if (l.reg < 0)
      values[l.value] = base + begin * static_cast<std::int64_t>(l.reader.item());
    else
      l.reader.read(base, begin, n, const_cast<std::byte*>(values[l.value]));
  }
}

void Interpreter::run_range(void* const* bindings, std::int64_t begin, std::int64_t end, std::byte* scratch) const {
  const auto** values = reinterpret_cast<const std::byte**>(scratch);
  std::byte* first_register = scratch + aligned(registers.size() * sizeof(void*));
  for (std::size_t v = 0; v < registers.size(); ++v)
    values[v] = registers[v] < 0 ? nullptr : first_register + static_cast<std::size_t>(registers[v]) * register_bytes;
  for (const Constant& c : constants) tensor::dispatch(c.type, [&](auto t) { fill<decltype(t)>(const_cast<std::byte*>(values[c.value]), c.number); });
  const std::int64_t first = std::min(kTile, end - begin);
  load(uniform_loads, values, bindings, begin, first);
  compute(uniform_code, values, first);
  for (std::int64_t at = begin; at < end; at += kTile) {
    const std::int64_t n = std::min(kTile, end - at);
    load(loads, values, bindings, at, n);
    if (direct_value >= 0) values[direct_value] = stores[0].operand.at(bindings) + at * static_cast<std::int64_t>(stores[0].writer.item());
    compute(code, values, n);
    for (const Store& s : stores) {
      if (s.value != direct_value) s.writer.write(s.operand.at(bindings), at, n, values[s.value]);
    }
  }
}

void Interpreter::run(void* const* bindings, std::byte* scratch) const {
  parallel_for(threads, numel, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
    if (begin < end) run_range(bindings, begin, end, scratch + static_cast<std::size_t>(worker) * worker_bytes);
  });
}

/// The operands of an instruction, -1 for those that its op lacks.
std::array<int, 3> operands_of(const Instr& instr) {
  const int count = core::operand_count(instr.op);
  return {count > 0 ? instr.a : -1, count > 1 ? instr.b : -1, count > 2 ? instr.c : -1};
}

/// Makes an Interpreter of a program and its operands.
class Planner {
 public:
  explicit Planner(const StepSpec& spec) : spec_(spec), program_(spec.attrs->program("program")), code_(program_.code) {}
  Interpreter plan();

 private:
  void check_operands() const;
  void order_dimensions();
  void analyze();
  void plan_instruction(int value);
  void plan_load(int value);
  void plan_store(std::size_t output);
  void assign_registers();
  [[nodiscard]] Window window(const OperandRef& operand) const { return window_of(operand, order_); }
  [[nodiscard]] bool is_output(int value) const { return std::find(program_.outputs.begin(), program_.outputs.end(), value) != program_.outputs.end(); }

  const StepSpec& spec_;
  const core::ScalarProgram& program_;
  std::span<const Instr> code_;
  std::vector<int> order_;     // dimensions, outermost first
  std::vector<int> last_use_;  // of each value: an instruction, code size for outputs, -1: dead
  std::vector<char> uniform_;
  std::vector<char> in_place_;  // loads used where they lie
  Interpreter result_;
};

void Planner::check_operands() const {
  program_.verify();
  check_counts(spec_, program_.inputs.size(), program_.outputs.size(), program_.outputs.size());
  check(!spec_.outputs.empty(), spec_, "there is no output");
  for (std::size_t i = 0; i < spec_.inputs.size(); ++i) {
    check(spec_.inputs[i].dtype == program_.inputs[i], spec_, "an input's dtype is not the program's");
    check(same_shape(spec_.inputs[i], spec_.outputs[0]), spec_, "an input's sizes are not the output's");
  }
  for (std::size_t j = 0; j < spec_.outputs.size(); ++j) {
    check(spec_.outputs[j].dtype == code_[program_.outputs[j]].type, spec_, "an output's dtype is not the program's");
    check(same_shape(spec_.outputs[j], spec_.outputs[0]), spec_, "outputs differ in size");
  }
}

// Elements are visited in the order in which the first output lies in memory.
void Planner::order_dimensions() {
  const OperandRef& out = spec_.outputs[0];
  for (int d = 0; d < out.rank; ++d) order_.push_back(d);
  std::stable_sort(order_.begin(), order_.end(), [&](int a, int b) { return std::abs(out.strides[a]) > std::abs(out.strides[b]); });
}

void Planner::analyze() {
  const int count = static_cast<int>(code_.size());
  last_use_.assign(code_.size(), -1);
  uniform_.assign(code_.size(), 0);
  in_place_.assign(code_.size(), 0);
  for (const int output : program_.outputs) last_use_[output] = count;
  for (int v = count - 1; v >= 0; --v) {
    if (last_use_[v] < 0) continue;
    for (const int operand : operands_of(code_[v])) {
      if (operand >= 0) last_use_[operand] = std::max(last_use_[operand], v);
    }
  }
  for (int v = 0; v < count; ++v) {
    const Instr& instr = code_[v];
    const auto operands = operands_of(instr);
    uniform_[v] = instr.op == ScalarOp::input ? window(spec_.inputs[instr.imm_int]).uniform()
                                              : std::all_of(operands.begin(), operands.end(), [&](int o) { return o < 0 || uniform_[o] != 0; });
  }
}

void Planner::plan_load(int value) {
  const OperandRef& operand = spec_.inputs[code_[value].imm_int];
  Load load{.value = value, .reg = 0, .operand = operand, .reader = Reader(operand.dtype, window(operand), compute_dtype(operand.dtype))};
  // An operand that is stored unchanged is copied first: another output may lie on top of it.
  if (load.reader.direct() && !is_output(value) && uniform_[value] == 0) {
    load.reg = -1;
    in_place_[value] = 1;
  }
  (uniform_[value] != 0 ? result_.uniform_loads : result_.loads).push_back(load);
}

void Planner::plan_instruction(int value) {
  const Instr& instr = code_[value];
  if (last_use_[value] < 0) return;
  if (instr.op == ScalarOp::input) return plan_load(value);
  if (instr.op == ScalarOp::constant) {
    result_.constants.push_back({value, instr.type, is_floating(instr.type) ? sym::Number::of_real(instr.imm_real) : sym::Number::of(instr.imm_int)});
  } else if (instr.op == ScalarOp::symbol) {
    result_.constants.push_back({value, instr.type, spec_.attrs->eval(program_.symbols[instr.imm_int])});
  } else {
    const DType operand = code_[instr.op == ScalarOp::where ? instr.b : instr.a].type;
    const ScalarKernel kernel = scalar_kernel(instr.op, operand, instr.type);
    REPRISE_CHECK(kernel != nullptr, InvalidArgument, "[kernels/{}] pointwise: no such instruction (got {} of {})", spec_.name, core::name(instr.op),
                  name(operand));
    (uniform_[value] != 0 ? result_.uniform_code : result_.code).push_back({kernel, value, operands_of(instr)});
  }
}

void Planner::plan_store(std::size_t output) {
  const OperandRef& operand = spec_.outputs[output];
  const int value = program_.outputs[output];
  result_.stores.push_back({value, operand, Writer(operand.dtype, window(operand), compute_dtype(operand.dtype))});
  // The last instruction of a program with one output may write to memory itself: nothing is read after it.
  const bool last = program_.outputs.size() == 1 && !result_.code.empty() && result_.code.back().value == value;
  if (last && result_.stores.back().writer.direct()) result_.direct_value = value;
}

// What is made before the code of a tile runs (loads, uniform values) keeps a register of its own. The others share: a register is free again after the last
// use of its value. A result never takes the register of its operands, since item sizes may differ.
void Planner::assign_registers() {
  const int count = static_cast<int>(code_.size());
  result_.registers.assign(code_.size(), -1);
  const auto made_early = [&](int v) { return uniform_[v] != 0 || code_[v].op == ScalarOp::input; };
  std::size_t item = 1;
  int used = 0;
  for (int v = 0; v < count; ++v) {
    item = std::max(item, item_size(compute_dtype(code_[v].type)));
    if (last_use_[v] >= 0 && made_early(v) && in_place_[v] == 0) result_.registers[v] = used++;
  }
  std::vector<int> free;
  const auto release = [&](int v) {
    if (result_.registers[v] >= 0 && uniform_[v] == 0) free.push_back(result_.registers[v]);
  };
  for (int v = 0; v < count; ++v) {
    if (last_use_[v] < 0) continue;
    if (!made_early(v) && v != result_.direct_value) {
      result_.registers[v] = free.empty() ? used++ : free.back();
      if (!free.empty()) free.pop_back();
    }
    const auto operands = operands_of(code_[v]);
    for (auto it = operands.begin(); it != operands.end(); ++it) {
      if (*it >= 0 && last_use_[*it] == v && std::find(operands.begin(), it, *it) == it) release(*it);
    }
  }
  result_.register_bytes = aligned(kTile * item);
  result_.worker_bytes = aligned(code_.size() * sizeof(void*)) + static_cast<std::size_t>(used) * result_.register_bytes;
}

Interpreter Planner::plan() {
  check_operands();
  order_dimensions();
  analyze();
  for (int v = 0; v < static_cast<int>(code_.size()); ++v) plan_instruction(v);
  for (std::size_t j = 0; j < spec_.outputs.size(); ++j) plan_store(j);
  assign_registers();
  result_.numel = spec_.outputs[0].numel();
  result_.threads = std::max(1, spec_.threads);
  result_.grain = grain_for(1 + static_cast<std::int64_t>(result_.code.size()));
  return std::move(result_);
}

}  // namespace

StepPtr make_pointwise(const StepSpec& spec) {
  Interpreter interpreter = Planner(spec).plan();
  const std::size_t scratch = interpreter.worker_bytes * static_cast<std::size_t>(interpreter.threads);
  return make_step(scratch, [interpreter = std::move(interpreter)](void* const* bindings, std::byte* memory) { interpreter.run(bindings, memory); });
}

}  // namespace reprise::kernels::reference
