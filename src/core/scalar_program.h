// The expression of a pointwise step: straight-line code over scalars, in SSA form.
//
// Instruction i defines value i with dtype `type`. Values of dtype f16 and bf16 are computed in f32 and rounded where a `cast` to that dtype stands
// or where they are stored; integer arithmetic wraps in its dtype; comparisons and logic give `boolean`. Operand dtypes equal the instruction's
// `type`, but for: cast, comparisons and is_* (operands share one dtype of their own), where (operand a is boolean).
// Three emitters read this: the interpreter (kernels/reference), CPU vector code, CUDA text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/dtype.h"
#include "sym/expr.h"

namespace reprise::core {

/// The numbers are part of the `.rpz` format: append, never renumber. Semantics are PyTorch's for the function of the same name.
enum class ScalarOp : std::uint8_t {
  // leaves
  input = 0,     // imm_int: which input
  constant = 1,  // imm_int or imm_real, by type
  symbol = 2,    // imm_int: index into `symbols`, evaluated when a shape is bound
  cast = 3,      // a
  where = 4,     // a ? b : c
  bitcast = 5,   // a: the bits of a dtype of the same size
  // arithmetic
  add = 10,
  sub = 11,
  mul = 12,
  div = 13,  // reals: IEEE; integers: not used (converters divide as reals, or use floor_div / trunc_div)
  floor_div = 14,
  trunc_div = 15,
  remainder = 16,  // Python's: sign of the divisor
  fmod = 17,       // C's: sign of the dividend
  pow = 18,
  minimum = 19,
  maximum = 20,  // propagate NaN
  fmin = 21,
  fmax = 22,  // ignore NaN
  atan2 = 23,
  hypot = 24,
  copysign = 25,
  nextafter = 26,
  gcd = 27,
  ldexp = 28,
  fma = 29,  // fma: a * b + c
  // bits (integers and boolean)
  bit_and = 30,
  bit_or = 31,
  bit_xor = 32,
  bit_not = 33,
  shift_left = 34,
  shift_right = 35,
  // relations: operands share a dtype, result boolean
  eq = 40,
  ne = 41,
  lt = 42,
  le = 43,
  gt = 44,
  ge = 45,
  logical_and = 46,
  logical_or = 47,
  logical_xor = 48,
  logical_not = 49,  // operands boolean
  is_nan = 50,
  is_inf = 51,
  is_finite = 52,
  signbit = 53,
  // functions of one real
  neg = 60,
  abs = 61,
  sign = 62,
  reciprocal = 63,
  sqrt = 64,
  rsqrt = 65,
  exp = 66,
  exp2 = 67,
  expm1 = 68,
  log = 69,
  log2 = 70,
  log10 = 71,
  log1p = 72,
  sin = 73,
  cos = 74,
  tan = 75,
  asin = 76,
  acos = 77,
  atan = 78,
  sinh = 79,
  cosh = 80,
  tanh = 81,
  asinh = 82,
  acosh = 83,
  atanh = 84,
  erf = 85,
  erfc = 86,
  erfinv = 87,
  lgamma = 88,
  digamma = 89,
  i0 = 90,
  i0e = 91,
  i1 = 92,
  i1e = 93,
  ndtri = 94,
  log_ndtr = 95,
  floor = 100,
  ceil = 101,
  trunc = 102,
  round = 103,
  sigmoid = 104,  // round: half to even
  igamma = 110,
  igammac = 111,
  zeta = 112,
  polygamma = 113,
  erfcx = 114
};

struct Instr {
  ScalarOp op = ScalarOp::constant;
  DType type = DType::f32;
  int a = -1, b = -1, c = -1;  // earlier instructions
  std::int64_t imm_int = 0;
  double imm_real = 0;
  friend bool operator==(const Instr&, const Instr&) = default;
};

/// How many of a, b, c the op reads (0 to 3).
int operand_count(ScalarOp op);
std::string_view name(ScalarOp op);

struct ScalarProgram {
  std::vector<DType> inputs;       // dtype of each tensor operand
  std::vector<sym::Expr> symbols;  // scalars known when a shape is bound
  std::vector<Instr> code;
  std::vector<int> outputs;  // instructions stored, one per output tensor; stored dtype = its type
  friend bool operator==(const ScalarProgram&, const ScalarProgram&) = default;

  /// Operands precede uses, dtypes obey the rules above, indices lie inside. Throws FormatError (files are hostile) naming the instruction.
  void verify() const;
  /// "out0 = mul(add(in0, 2), 0.5)"
  [[nodiscard]] std::string str() const;
};

using ScalarProgramPtr = std::shared_ptr<const ScalarProgram>;

}  // namespace reprise::core
