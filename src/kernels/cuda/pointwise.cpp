// Pointwise regions: each becomes a kernel of its own text, which depends on the program and on how the operands lie, never on sizes.
//
// A thread computes `width` elements along the innermost dimension, 16 bytes' worth where alignment allows. Strides that are 0 do not appear in the text.
#include "kernels/cuda/pointwise.h"

#include <fmt/format.h>

#include "kernels/cuda/factories.h"
#include "kernels/cuda/nest.h"
#include "kernels/cuda/scalar_text.h"

namespace reprise::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::int64_t kMany = 1 << 20, kTurns = 4;  // elements by themselves, from which on a thread has several

/// Text and parameters, written together.
class Writer {
 public:
  Writer(const core::ScalarProgram& program, std::span<const OperandRef> inputs, std::span<const OperandRef> outputs, const std::vector<sym::Number>& symbols)
      : program_(program), inputs_(inputs.size()), operands_(join(inputs, outputs)), nest_(operands_, outputs[0]), width_(nest_.widest_vector()) {
    nest_.group(width_);
    turns_ = width_ == 1 && nest_.items() >= kMany ? kTurns : 1;
    write_pointers();
    parameters_.index("items", nest_.items(), nest_.wide());
    write_position();
    for (std::size_t k = 0; k < operands_.size(); ++k) write_offset(k);
    for (std::size_t k = 0; k < inputs_; ++k) write_load(k);
    write_elements(symbols);
    for (std::size_t k = inputs_; k < operands_.size(); ++k) write_store(k);
  }

  [[nodiscard]] std::string text() const {
    return fmt::format(
        "#include \"scalar.cuh\"\n{}{}\nextern \"C\" __global__ void __launch_bounds__({}) pointwise({}) {{\n  wait_for_earlier_kernels();\n#pragma unroll\n  "
        "for (int turn = 0; turn < {}; ++turn) {{\n{}  }}\n}}\n",
        special_ ? "#include \"special.cuh\"\n" : "", index_types(nest_.wide()), kThreads, parameters_.text(), turns_, body_);
  }
  [[nodiscard]] const Arguments& arguments() const { return parameters_.arguments(); }
  /// Elements, or vectors of them, that a thread has one after the other.
  [[nodiscard]] std::int64_t turns() const { return turns_; }
  [[nodiscard]] std::int64_t items() const { return nest_.items(); }

 private:
  static std::vector<OperandRef> join(std::span<const OperandRef> inputs, std::span<const OperandRef> outputs) {
    std::vector<OperandRef> all(inputs.begin(), inputs.end());
    all.insert(all.end(), outputs.begin(), outputs.end());
    return all;
  }
  [[nodiscard]] std::string type(std::size_t k) const { return type_name(operands_[k].dtype); }
  template <class... Args>
  void line(fmt::format_string<Args...> text, Args&&... args) {
    body_ += "  " + fmt::format(text, std::forward<Args>(args)...) + "\n";
  }

  void write_pointers() {
    for (std::size_t k = 0; k < operands_.size(); ++k) {
      const bool input = k < inputs_;
      parameters_.pointer(fmt::format("{}{}* {}p{}", input ? "const " : "", type(k), input ? "__restrict__ " : "", k), operands_[k], !input);
    }
  }

  /// x<d>: the position along each dimension; the innermost counts elements.
  void write_position() {
    line("Index rest = (blockIdx.x * static_cast<Index>({}) + turn) * {} + threadIdx.x;", turns_, kThreads);
    line("if (rest >= items) return;");
    for (std::size_t d = nest_.rank(); d-- > 1;) {
      parameters_.divisor(fmt::format("n{}", d), nest_.size(d), nest_.wide());
      line("const Index q{0} = divide(rest, n{0}), x{0} = {1}(rest - q{0} * static_cast<Index>(n{0}.divisor));", d, inner(d));
      line("rest = q{};", d);
    }
    if (nest_.rank() > 0) line("const Index x0 = {}rest;", inner(0));
  }
  [[nodiscard]] std::string inner(std::size_t d) const { return d + 1 == nest_.rank() && width_ > 1 ? fmt::format("{} * ", width_) : ""; }

  void write_offset(std::size_t k) {
    std::string sum;
    for (std::size_t d = 0; d < nest_.rank(); ++d) {
      const std::int64_t stride = nest_.stride(d, k);
      if (stride == 0) continue;
      const bool dense = d + 1 == nest_.rank() && stride == 1;
      if (!dense) parameters_.index(fmt::format("s{}_{}", k, d), stride, nest_.wide());
      sum += (sum.empty() ? "" : " + ") + (dense ? fmt::format("x{}", d) : fmt::format("x{} * s{}_{}", d, k, d));
    }
    // Strides may be negative: offsets are signed however wide.
    line("const auto o{} = static_cast<{}>({});", k, nest_.wide() ? "i64_t" : "i32_t", sum.empty() ? "0" : sum);
  }

  [[nodiscard]] bool dense(std::size_t k) const { return nest_.inner_stride(k) == 1; }
  [[nodiscard]] std::string inner_offset(std::size_t k) const {
    return nest_.inner_stride(k) == 0
               ? ""
               : fmt::format(" + j * static_cast<i64_t>(static_cast<{}>(s{}_{}))", nest_.wide() ? "i64_t" : "i32_t", k, nest_.rank() - 1);
  }

  void write_load(std::size_t k) {
    if (width_ > 1 && dense(k))
      line("const auto v{0} = *reinterpret_cast<const Vector<{1}, {2}>*>(p{0} + o{0});", k, type(k), width_);
    else if (width_ > 1 && nest_.inner_stride(k) != 0)
      line("Vector<{1}, {2}> v{0};\n  for (int j = 0; j < {2}; ++j) v{0}.at[j] = p{0}[o{0}{3}];", k, type(k), width_, inner_offset(k));
    else
      line("const auto v{0} = p{0}[o{0}];", k);
  }
  [[nodiscard]] std::string element(std::size_t k) const {
    return width_ > 1 && nest_.inner_stride(k) != 0 ? fmt::format("v{}.at[j]", k) : fmt::format("v{}", k);
  }

  void write_elements(const std::vector<sym::Number>& symbols) {
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      if (symbols[i].is_real)
        parameters_.value(fmt::format("const double y{}", i), symbols[i].real);
      else
        parameters_.value(fmt::format("const i64_t y{}", i), symbols[i].integer);
    }
    const auto scalar = emit_scalar_program(
        program_, "t", [&](int i) { return fmt::format("widen({})", element(static_cast<std::size_t>(i))); }, [](int i) { return fmt::format("y{}", i); });
    special_ = scalar.special;
    for (std::size_t k = inputs_; k < operands_.size(); ++k) line("Vector<{}, {}> r{};", type(k), width_, k);
    body_ += fmt::format("#pragma unroll\n  for (int j = 0; j < {}; ++j) {{\n{}", width_, scalar.body);
    for (std::size_t k = inputs_; k < operands_.size(); ++k) line("r{}.at[j] = convert<{}>({});", k, type(k), scalar.outputs[k - inputs_]);
    body_ += "  }\n";
  }

  void write_store(std::size_t k) {
    if (width_ > 1 && dense(k))
      line("*reinterpret_cast<Vector<{1}, {2}>*>(p{0} + o{0}) = r{0};", k, type(k), width_);
    else if (width_ > 1)
      line("for (int j = 0; j < {1}; ++j) p{0}[o{0}{2}] = r{0}.at[j];", k, width_, inner_offset(k));
    else
      line("p{0}[o{0}] = r{0}.at[0];", k);
  }

  const core::ScalarProgram& program_;
  std::size_t inputs_;
  std::vector<OperandRef> operands_;  // inputs, then outputs
  Nest nest_;                         // its innermost dimension counts groups of width_ elements
  std::int64_t width_, turns_ = 1;
  bool special_ = false;
  Parameters parameters_;
  std::string body_;
};

void check_operands(const StepSpec& spec, const core::ScalarProgram& program) {
  program.verify();
  check_counts(spec, program.inputs.size(), program.outputs.size(), program.outputs.size());
  check(!spec.outputs.empty(), spec, "there is no output");
  for (std::size_t i = 0; i < spec.inputs.size(); ++i) {
    check(spec.inputs[i].dtype == program.inputs[i], spec, "an input's dtype is not the program's");
    check(same_shape(spec.inputs[i], spec.outputs[0]), spec, "an input's sizes are not the output's");
  }
  for (std::size_t j = 0; j < spec.outputs.size(); ++j) {
    check(spec.outputs[j].dtype == program.code[static_cast<std::size_t>(program.outputs[j])].type, spec, "an output's dtype is not the program's");
    check(same_shape(spec.outputs[j], spec.outputs[0]), spec, "outputs differ in size");
  }
}

/// The dtype whose values are the bits of another.
DType bits_of(DType dtype) {
  constexpr DType kBySize[] = {DType::u8, DType::u16, DType::u32, DType::u64};
  return kBySize[std::countr_zero(item_size(dtype))];
}

}  // namespace

StepPtr make_pointwise_step(Gpu& gpu, const core::ScalarProgram& program, std::span<const OperandRef> inputs, std::span<const OperandRef> outputs,
                            const std::vector<sym::Number>& symbols) {
  if (outputs[0].numel() == 0) return make_empty_step();
  const Writer writer(program, inputs, outputs, symbols);
  // Products and sums of different instructions are rounded one by one, as PyTorch's are.
  const Kernel kernel = gpu.programs().request({.text = writer.text(), .entry = "pointwise", .options = {"--fmad=false"}});
  const unsigned blocks = blocks_for(writer.items(), kThreads * static_cast<unsigned>(writer.turns()));
  const bool programmatic = starts_early(gpu) && blocks <= 2 * static_cast<unsigned>(gpu.info().multiprocessors);
  return make_step(0, [kernel, blocks, programmatic, arguments = writer.arguments()](Operations& operations, int) {
    launch(operations, kernel, {.grid = {blocks}, .block = {kThreads}, .programmatic = programmatic}, arguments);
  });
}

StepPtr make_pointwise(Gpu& gpu, const StepSpec& spec) {
  const auto& program = spec.attrs->program("program");
  check_operands(spec, program);
  std::vector<sym::Number> symbols;
  for (const auto& symbol : program.symbols) symbols.push_back(spec.attrs->eval(symbol));
  return make_pointwise_step(gpu, program, spec.inputs, spec.outputs, symbols);
}

StepPtr make_copy(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  check(spec.inputs[0].dtype == spec.outputs[0].dtype && same_shape(spec.inputs[0], spec.outputs[0]), spec, "operands differ in dtype or sizes");
  OperandRef from = spec.inputs[0], to = spec.outputs[0];
  from.dtype = to.dtype = bits_of(from.dtype);  // conversion would touch the bits of a NaN
  const core::ScalarProgram program{.inputs = {from.dtype}, .symbols = {}, .code = {{.op = core::ScalarOp::input, .type = from.dtype}}, .outputs = {0}};
  return make_pointwise_step(gpu, program, {&from, 1}, {&to, 1}, {});
}

StepPtr make_fill(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 0, 1, 1);
  const core::ScalarProgram program{.inputs = {}, .symbols = {}, .code = {{.op = core::ScalarOp::symbol, .type = spec.outputs[0].dtype}}, .outputs = {0}};
  return make_pointwise_step(gpu, program, {}, spec.outputs, {spec.attrs->number("value")});
}

}  // namespace reprise::kernels::cuda
