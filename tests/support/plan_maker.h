// Plans written by hand, and tiny kernels to run them with: what is tested here is everything around kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "plan/plan.h"

namespace reprise::test {

/// A buffer together with the tensor that it holds.
struct Ref {
  plan::BufferId buffer = -1;
  DType dtype = DType::f32;
  sym::Shape sizes;
};

class PlanMaker {
 public:
  PlanMaker();

  sym::Expr symbol(const std::string& name, std::int64_t min = 0, std::int64_t max = sym::kUnbounded, bool unbacked = false);
  Ref input(const std::string& name, const sym::Shape& sizes, DType dtype = DType::f32, bool mutated = false);
  void integer_input(const std::string& name, const sym::Expr& value);
  /// The buffer of an integer input.
  Ref integer_buffer(int input);
  void constant_input(const std::string& name, plan::ConstantValue value);
  /// `bound`: bytes, where sizes depend on data; nullopt there: dynamic.
  Ref output(const std::string& name, const sym::Shape& sizes, DType dtype = DType::f32, std::optional<sym::Expr> bound = std::nullopt);
  void number_output(plan::OutputSpec::Kind kind, const sym::Expr& value);
  Ref temp(const sym::Shape& sizes, DType dtype = DType::f32);
  Ref dynamic_temp(const sym::Shape& sizes, DType dtype = DType::f32);
  Ref weight(const std::string& name, const std::vector<float>& values);
  Ref state(const std::string& name, const std::vector<float>& values);
  int block();

  plan::Command& add(core::Op op, const std::vector<Ref>& inputs, const std::vector<Ref>& outputs, core::Attrs attrs = {}, int block = 0);
  /// A toy pointwise step: y = x * scale + shift.
  void affine(const Ref& x, const Ref& y, double scale, double shift, int block = 0);
  /// y = a + b
  void sum(const Ref& a, const Ref& b, const Ref& y, int block = 0);
  /// y = [x[0] < limit]
  void less(const Ref& x, const Ref& y, double limit, int block = 0);
  /// Throws InvalidArgument when x[0] is negative.
  void demand_positive(const Ref& x, int block = 0);
  /// A user's kernel. `parameters`: the names of its inputs, one each; `mutates`: the inputs that it writes.
  plan::Command& foreign(const std::string& kernel, const std::vector<std::pair<std::string, Ref>>& parameters, const std::vector<Ref>& outputs,
                         core::Attrs attrs = {}, const std::vector<std::int64_t>& mutates = {});
  /// Positions of the elements of vector x that are not zero: y[u, 1], count[1].
  void nonzero(const Ref& x, const Ref& y, const Ref& count, const std::string& symbol, int block = 0);
  void item(const Ref& x, const std::string& symbol, int block = 0);
  void cond(const Ref& pred, const std::vector<Ref>& outputs, int then_block, int else_block, int block = 0);
  void loop(const Ref& pred, const std::vector<Ref>& carried, int condition_block, int body_block, int block = 0);

  /// Sets positions and lifetimes; a profile of the symbols' ranges when there is none.
  plan::PlanPtr finish();

  plan::Plan plan;

 private:
  plan::BufferId buffer(plan::BufferKind kind, int index, const std::string& name, const sym::Expr& bytes);
  void number(int block, int& position);
};

/// Threads-safe count of steps that were made, for tests of caching.
int steps_made();
/// Foreign commands get the steps that they have everywhere.
std::unique_ptr<device::Step> make_toy_step(const kernels::StepSpec& spec);

}  // namespace reprise::test
