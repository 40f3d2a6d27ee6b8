// The interpreter of programs over reals: rows of the dimensions that all operands can be walked along, in blocks that stay in the first-level cache, each
// instruction a loop over a block. Operands are used where they lie if they are dense f32; what is one value along a row stays one value.
#include "kernels/cpu/pointwise/pointwise.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/cpu/pointwise/loops.h"
#include "kernels/cpu/rows/rows.h"
#include "kernels/parallel.h"
#include "kernels/reference/scalar_kernels.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

using core::Instr;
using core::ScalarOp;

constexpr std::int64_t kBlock = 512;  // elements

/// An operand of the program: strides by dimension of the walk, the last one the row's.
struct Walked {
  OperandRef operand;
  std::vector<std::int64_t> strides;
  std::int64_t item = 4;
  [[nodiscard]] std::int64_t along() const { return strides.empty() ? 0 : strides.back(); }
  [[nodiscard]] bool in_place() const { return operand.dtype == DType::f32 && along() == 1; }
};

struct LoadOp {
  int value;
  std::size_t input;
  LoadRun run;
  bool in_place, single;
};
struct Compute {
  FloatLoop run;
  int value, a, b, c;
  bool single;
};
struct Fill {
  int value, from;  // a block of what is one value
};
struct StoreOp {
  int value;
  std::size_t output;
  StoreRun run;
};
/// Fills come before the computation at `at`.
struct Code {
  std::vector<LoadOp> loads;
  std::vector<std::pair<std::size_t, Fill>> fills;
  std::vector<Compute> computes;
  std::vector<StoreOp> stores;
  std::vector<std::pair<int, float>> constants;
};

class Interpreter {
 public:
  Code code;
  std::vector<Walked> inputs, outputs;
  std::vector<std::int64_t> sizes;  // of the walk, the row last
  int values = 0, direct = -1;      // direct: the value computed where the first output lies
  int threads = 1;

  [[nodiscard]] std::size_t worker_bytes() const {
    return reference::aligned(static_cast<std::size_t>(values) * (kBlock * sizeof(float) + sizeof(void*) + 64));
  }
  [[nodiscard]] std::int64_t row() const { return sizes.back(); }

  void run(void* const* bindings, std::byte* scratch) const {
    std::int64_t rows = 1;
    for (std::size_t d = 0; d + 1 < sizes.size(); ++d) rows *= sizes[d];
    const std::int64_t blocks = (row() + kBlock - 1) / kBlock, cost = (1 + static_cast<std::int64_t>(code.computes.size())) * std::min(row(), kBlock);
    parallel_for(threads, rows * blocks, grain_for(cost), [&](std::int64_t begin, std::int64_t end, int worker) {
      std::byte* memory = scratch + static_cast<std::size_t>(worker) * worker_bytes();
      auto* registers = reinterpret_cast<float*>(memory);
      auto** at = reinterpret_cast<float**>(memory + static_cast<std::size_t>(values) * kBlock * sizeof(float));
      for (int v = 0; v < values; ++v) at[v] = registers + v * kBlock;
      for (const auto& [value, constant] : code.constants) *at[value] = constant;
      for (std::int64_t job = begin; job < end; ++job) run_block(bindings, job / blocks, job % blocks * kBlock, registers, at);
    });
  }

 private:
  [[nodiscard]] std::byte* address(const Walked& w, void* const* bindings, std::int64_t row_index, std::int64_t column) const {
    std::int64_t offset = column * w.along();
    for (std::size_t d = sizes.size() - 1; d-- > 0; row_index /= sizes[d]) offset += row_index % sizes[d] * w.strides[d];
    return w.operand.at(bindings) + offset * w.item;
  }

  void run_block(void* const* bindings, std::int64_t row_index, std::int64_t column, float* registers, float** at) const {
    const std::int64_t n = std::min(kBlock, row() - column);
    for (const LoadOp& l : code.loads) {
      const Walked& from = inputs[l.input];
      std::byte* base = address(from, bindings, row_index, column);
      if (l.in_place)
        at[l.value] = reinterpret_cast<float*>(base);
      else
        l.run(base, from.along(), l.single ? 1 : n, at[l.value]);
    }
    if (direct >= 0) at[direct] = reinterpret_cast<float*>(address(outputs[0], bindings, row_index, column));
    auto fill = code.fills.begin();
    const auto value = [&](int v) { return v < 0 ? nullptr : at[v]; };
    for (std::size_t i = 0; i < code.computes.size(); ++i) {
      for (; fill != code.fills.end() && fill->first == i; ++fill) std::fill_n(registers + fill->second.value * kBlock, n, *at[fill->second.from]);
      const Compute& c = code.computes[i];
      c.run(at[c.value], value(c.a), value(c.b), value(c.c), c.single ? 1 : n);
    }
    for (; fill != code.fills.end(); ++fill) std::fill_n(registers + fill->second.value * kBlock, n, *at[fill->second.from]);
    for (const StoreOp& s : code.stores) {
      const Walked& to = outputs[s.output];
      if (s.value != direct) s.run(at[s.value], n, address(to, bindings, row_index, column), to.along());
    }
  }
};

/// Makes an Interpreter of a program and its operands.
class Planner {
 public:
  explicit Planner(const StepSpec& spec) : spec_(spec), program_(spec.attrs->program("program")) {}

  std::optional<Interpreter> plan() {
    if (!fits()) return std::nullopt;
    walk();
    if (result_.row() < 8) return std::nullopt;
    for (std::size_t v = 0; v < program_.code.size(); ++v) {
      if (!plan_value(static_cast<int>(v))) return std::nullopt;
    }
    plan_stores();
    result_.threads = std::max(1, spec_.threads);
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool fits() const {
    program_.verify();
    if (spec_.inputs.size() != program_.inputs.size() || spec_.outputs.size() != program_.outputs.size() || spec_.outputs.empty()) return false;
    const OperandRef& y = spec_.outputs[0];
    const auto same = [&](const OperandRef& x) { return reads_as_floats(x.dtype) && reference::same_shape(x, y); };
    for (std::size_t j = 0; j < spec_.outputs.size(); ++j) {
      if (!same(spec_.outputs[j]) || spec_.outputs[j].dtype != program_.code[static_cast<std::size_t>(program_.outputs[j])].type) return false;
    }
    for (std::size_t i = 0; i < spec_.inputs.size(); ++i) {
      if (!same(spec_.inputs[i]) || spec_.inputs[i].dtype != program_.inputs[i]) return false;
    }
    return y.numel() > 0 && std::all_of(program_.code.begin(), program_.code.end(), [](const Instr& i) { return reads_as_floats(i.type); });
  }

  /// Dimensions in the order in which the first output lies in memory, merged where all operands allow; a row worth a loop last.
  void walk() {
    const OperandRef& y = spec_.outputs[0];
    std::vector<int> order;
    for (int d = 0; d < y.rank; ++d) {
      if (y.sizes[d] != 1) order.push_back(d);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return std::abs(y.strides[a]) > std::abs(y.strides[b]); });
    for (const OperandRef& x : spec_.inputs) result_.inputs.push_back({x, {}, static_cast<std::int64_t>(item_size(x.dtype))});
    for (const OperandRef& x : spec_.outputs) result_.outputs.push_back({x, {}, static_cast<std::int64_t>(item_size(x.dtype))});
    for (const int d : order) append(d);
    if (order.empty()) append(-1);
    constexpr std::int64_t kShort = 16;
    const auto longest = std::max_element(result_.sizes.begin(), result_.sizes.end()) - result_.sizes.begin();
    if (result_.row() >= kShort || result_.sizes[static_cast<std::size_t>(longest)] < kShort) return;
    std::swap(result_.sizes[static_cast<std::size_t>(longest)], result_.sizes.back());
    for_operands([&](Walked& w) { std::swap(w.strides[static_cast<std::size_t>(longest)], w.strides.back()); });
  }
  template <class F>
  void for_operands(const F& f) {
    for (Walked& w : result_.inputs) f(w);
    for (Walked& w : result_.outputs) f(w);
  }
  void append(int d) {
    const std::int64_t size = d < 0 ? 1 : spec_.outputs[0].sizes[d];
    const auto stride = [&](const Walked& w) { return d < 0 ? 0 : w.operand.strides[static_cast<std::size_t>(d)]; };
    bool merges = !result_.sizes.empty();
    for_operands([&](Walked& w) { merges = merges && w.strides.back() == size * stride(w); });
    if (merges) {
      result_.sizes.back() *= size;
      for_operands([&](Walked& w) { w.strides.back() = stride(w); });
    } else {
      result_.sizes.push_back(size);
      for_operands([&](Walked& w) { w.strides.push_back(stride(w)); });
    }
  }

  int define(bool single) {
    single_.push_back(single);
    return result_.values++;
  }
  [[nodiscard]] bool is_output(int instr) const { return std::find(program_.outputs.begin(), program_.outputs.end(), instr) != program_.outputs.end(); }
  /// What rounds to `dtype` anyway: only stores read it.
  [[nodiscard]] bool only_stored(int instr) const {
    return std::none_of(program_.code.begin(), program_.code.end(), [&](const Instr& i) {
      const int count = core::operand_count(i.op);
      return (count > 0 && i.a == instr) || (count > 1 && i.b == instr) || (count > 2 && i.c == instr);
    });
  }

  bool plan_value(int v) {
    const Instr& instr = program_.code[static_cast<std::size_t>(v)];
    if (instr.op == ScalarOp::input) {
      plan_load(instr, is_output(v));
    } else if (instr.op == ScalarOp::constant || instr.op == ScalarOp::symbol) {
      const sym::Number number =
          instr.op == ScalarOp::symbol ? spec_.attrs->eval(program_.symbols[static_cast<std::size_t>(instr.imm_int)]) : sym::Number::of_real(instr.imm_real);
      if (instr.type != DType::f32 && instr.op == ScalarOp::symbol) return false;
      value_of_.push_back(define(true));
      result_.code.constants.emplace_back(value_of_.back(), static_cast<float>(number.is_real ? number.real : static_cast<double>(number.integer)));
    } else if (instr.op == ScalarOp::cast) {
      plan_cast(v, instr);
    } else {
      return plan_compute(instr);
    }
    return true;
  }

  void plan_load(const Instr& instr, bool stored) {
    const auto input = static_cast<std::size_t>(instr.imm_int);
    const Walked& from = result_.inputs[input];
    const bool single = from.along() == 0;
    value_of_.push_back(define(single));
    // What is stored as it is gets copied: another output may lie on top of it.
    result_.code.loads.push_back({value_of_.back(), input, load_run(from.operand.dtype), from.in_place() && !stored && !single, single});
  }

  void plan_cast(int v, const Instr& instr) {
    const int from = value_of_[static_cast<std::size_t>(instr.a)];
    const DType before = program_.code[static_cast<std::size_t>(instr.a)].type;
    const bool same = instr.type == DType::f32 || instr.type == before;
    if (!is_output(v) && same) return value_of_.push_back(from);
    if (same || only_stored(v)) {
      // In a register of its own only where it would be stored from an operand's memory.
      const bool loaded = std::any_of(result_.code.loads.begin(), result_.code.loads.end(), [&](const LoadOp& l) { return l.value == from && l.in_place; });
      if (!loaded) return value_of_.push_back(from);
    }
    value_of_.push_back(define(single_[static_cast<std::size_t>(from)]));
    const FloatLoop run = instr.type == DType::f32 ? reference::cast_kernel(DType::f32, DType::f32) : rounding_loop(instr.type);
    result_.code.computes.push_back({run, value_of_.back(), from, -1, -1, single_.back()});
  }

  /// The value as a block.
  int whole(int value) {
    if (!single_[static_cast<std::size_t>(value)]) return value;
    const int block = define(false);
    result_.code.fills.emplace_back(result_.code.computes.size(), Fill{block, value});
    return block;
  }

  bool plan_compute(const Instr& instr) {
    const int count = core::operand_count(instr.op);
    const auto operand = [&](int i, int v) { return i < count ? value_of_[static_cast<std::size_t>(v)] : -1; };
    int a = operand(0, instr.a), b = operand(1, instr.b), c = operand(2, instr.c);
    const auto is_single = [&](int v) { return v < 0 || single_[static_cast<std::size_t>(v)]; };
    const bool single = is_single(a) && is_single(b) && is_single(c);
    const bool commutes = instr.op == ScalarOp::add || instr.op == ScalarOp::mul;
    if (commutes && !single && is_single(a)) std::swap(a, b);
    const bool scalar_b = !single && b >= 0 && is_single(b) && !is_single(a);
    FloatLoop run = float_loop(instr.op, scalar_b);
    if (run == nullptr) {
      run = reference::scalar_kernel(instr.op, DType::f32, DType::f32);
      if (run == nullptr) return false;
      if (!single && b >= 0) b = whole(b);
      if (!single && c >= 0) c = whole(c);
    } else if (!single && b >= 0 && !scalar_b) {
      b = whole(b);
    }
    if (!single) a = whole(a);
    value_of_.push_back(define(single));
    result_.code.computes.push_back({run, value_of_.back(), a, b, c, single});
    if (instr.type != DType::f32) return false;
    return true;
  }

  void plan_stores() {
    for (std::size_t j = 0; j < program_.outputs.size(); ++j) {
      const int value = whole(value_of_[static_cast<std::size_t>(program_.outputs[j])]);
      result_.code.stores.push_back({value, j, store_run(spec_.outputs[j].dtype)});
    }
    // The last instruction of a program with one output may write to memory itself: nothing is read after it.
    const auto& computes = result_.code.computes;
    const int last = computes.empty() ? -1 : computes.back().value;
    if (program_.outputs.size() == 1 && result_.code.stores[0].value == last && result_.outputs[0].in_place()) result_.direct = last;
  }

  const StepSpec& spec_;
  const core::ScalarProgram& program_;
  std::vector<int> value_of_;  // of each instruction
  std::vector<bool> single_;   // of each value: one for a whole row
  Interpreter result_;
};

}  // namespace

StepPtr make_pointwise(const StepSpec& spec) {
  auto plan = Planner(spec).plan();
  if (!plan) return nullptr;
  auto interpreter = std::make_shared<const Interpreter>(std::move(*plan));
  const std::size_t scratch = interpreter->worker_bytes() * static_cast<std::size_t>(interpreter->threads);
  return reference::make_step(scratch, [interpreter](void* const* bindings, std::byte* memory) { interpreter->run(bindings, memory); });
}

}  // namespace reprise::kernels::cpu
