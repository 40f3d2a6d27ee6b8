#include "runtime/mode_checker/programs.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <unistd.h>

#include "device/cuda_library.h"
#include "device/current.h"
#include "plan/rpz.h"
#include "runtime/helpers.h"

namespace reprise::test::checker {
namespace {

using core::Instr;
using core::ScalarOp;
using sym::Expr;

core::Attrs binary(ScalarOp op, DType result) {
  std::vector<Instr> code = {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = op, .type = result, .a = 0, .b = 1}};
  return {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32, DType::f32}, {}, std::move(code), {2}})}};
}

/// What a function of the stand-in says of a GPU; nothing when there is none.
template <class Function>
std::invoke_result_t<Function, int> fake(const char* name, int index) {
  if (checked_device().type != DeviceType::cuda) return {};
  try {
    return device::cuda_function<Function>(name)(index);
  } catch (const DeviceError&) {
    return {};
  }
}

/// Recordings fail where the vector's length is even.
ForeignKernel twice_kernel() {
  return {.schema = "checker::twice(Tensor x) -> Tensor",
          .host =
              [](const ForeignCall& call) {
                for (std::int64_t i = 0; i < call.input(0).numel(); ++i) call.output().data_as<float>()[i] = 2 * call.input(0).data_as<float>()[i];
              },
          .before_capture =
              [](const ForeignCall& call) {
                if (call.input(0).numel() % 2 == 0) throw std::runtime_error("an even length");
              }};
}
ForeignKernel advance_kernel() {
  return {.schema = "checker::advance_(Tensor(a!) x, Tensor step) -> ()", .host = [](const ForeignCall& call) {
            for (std::int64_t i = 0; i < call.input(0).numel(); ++i) call.input(0).data_as<float>()[i] += call.input(1).data_as<float>()[i];
          }};
}

LoadOptions load_options() { return {.device = checked_device(), .foreign_kernels = {twice_kernel(), advance_kernel()}}; }

/// All elements 64 times, so that the kernel's own memory grows with their number.
void add_norm(PlanMaker& m, const Ref& x, const Expr& s) {
  const Ref rows = m.temp({s, 64}), normed = m.output("normed", {s});
  Ref again = x, first = rows;
  again.sizes = {s, 64};
  first.sizes = {s};
  m.add(core::Op::norm, {again}, {rows}, {{"kind", std::string("layer")}, {"dims", Expr(2)}, {"eps", kEps}, {"has_weight", false}, {"has_bias", false}})
      .inputs[0]
      .strides = {1, 0};
  m.add(core::Op::copy, {first}, {normed}).inputs[0].strides = {64};
}

void add_data_dependence(PlanMaker& m, const Ref& x, const Ref& total, const Expr& s) {
  const Expr u = m.symbol("u0", 0, 8, true);
  for (auto& profile : m.plan.profiles)
    for (auto* bounds : {&profile.min, &profile.opt, &profile.max}) bounds->push_back(bounds == &profile.max ? 8 : 0);
  const Ref positions = m.output("positions", {u, 1}, DType::i64, s * 8), count = m.temp({1}, DType::i64), branch = m.output("branch", {4});
  m.nonzero(x, positions, count, "u0");
  const Ref w = m.weight("w", {1, 2, 3, 4}), limit = m.weight("limit", {kLimit}), pred = m.temp({}, DType::boolean);
  m.add(core::Op::pointwise, {{total.buffer, DType::f32, {}}, {limit.buffer, DType::f32, {}}}, {pred}, binary(ScalarOp::lt, DType::boolean));
  const int then_block = m.block(), else_block = m.block();
  const auto add = binary(ScalarOp::add, DType::f32);
  m.cond(pred, {branch}, then_block, else_block);
  m.add(core::Op::pointwise, {total, w}, {branch}, add, then_block);
  m.add(core::Op::pointwise, {total, total}, {branch}, add, else_block);
}

PlanMaker maker_of(Program program) {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  m.plan.settings.device = Device{checked_device().type, 0};
  const Expr s = m.symbol("s", 0, 8);
  const Ref x = m.input("x", {s}), cache = m.input("cache", {4}, DType::f32, !is_pure(program));
  const Ref total = is_pure(program) ? cache : m.state("total", {0, 0, 0, 0});
  const Ref t = m.temp({s}), y = m.output("y", {s}), after = m.output("after", {4}), twice = m.output("twice", {s});
  const auto add = binary(ScalarOp::add, DType::f32);
  m.plan.profiles = {{{0}, {2}, {4}}, {{3}, {4}, {8}}};  // of s
  if (program == kForeign)
    m.foreign("checker.twice.default", {{"x", x}}, {t});
  else
    m.add(core::Op::pointwise, {x, x}, {t}, add);
  m.add(core::Op::pointwise, {t, t}, {y}, add).segment = program == kBroken ? 1 : 0;
  if (program == kBroken) m.plan.segments.push_back({false, "in fallback_ops"});
  m.add(core::Op::pointwise, {x, x}, {twice}, add);
  const auto accumulate = [&](const Ref& to, const Ref& from) {
    if (program == kForeign)
      m.foreign("checker.advance_.default", {{"x", to}, {"step", from}}, {}, {}, {0});
    else
      m.add(core::Op::pointwise, {to, from}, {to}, add);
  };
  if (!is_pure(program)) accumulate(total, cache);
  Ref moved = cache;
  if (is_pure(program)) m.add(core::Op::copy, {cache}, {moved = m.output("moved", {4})});
  for (const Values& part : {Values{1, 1, 1, 1}, Values{0, 1, 1, 2}, Values{0, 0, 1, 1}}) accumulate(moved, m.weight("part", part));
  m.add(core::Op::copy, {total}, {after});
  if (program == kMixed) m.add(core::Op::softmax, {x}, {m.output("shares", {s})}, {{"axis", Expr(0)}, {"log", false}});
  if (program == kForeign) add_norm(m, x, s);
  if (program == kDynamic) add_data_dependence(m, x, total, s);
  return m;
}

/// A file, for as long as this lives.
class Saved {
 public:
  explicit Saved(PlanMaker maker) { plan::save(*maker.finish(), path()); }
  Saved(const Saved&) = delete;
  Saved& operator=(const Saved&) = delete;
  ~Saved() { std::filesystem::remove(path()); }
  [[nodiscard]] std::string path() const { return (std::filesystem::temp_directory_path() / ("reprise_mode_checker" + std::to_string(::getpid()))).string(); }
};

}  // namespace

Device checked_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}

Device other_device() {
  const Device own = checked_device();
  if (own.index > 0) return {own.type, own.index - 1};
  return device::count(own.type) > 1 ? Device{own.type, 1} : own;
}

FaultyDevice* checked_card() {
  static FaultyDevice* const card = fake<FaultyDevice* (*)(int)>("reprise_cuda_fake_card", checked_device().index);
  return card;
}

std::uint64_t uses_of_other_device() { return checked_card() == nullptr ? 0 : fake<std::uint64_t (*)(int)>("reprise_cuda_fake_uses", other_device().index); }

Module make_program(Program program) { return runtime::make_module(maker_of(program).finish(), checked_device(), {}, load_options()); }

Module load_program(Program program) {
  const Saved saved(maker_of(program));
  return Module::load(saved.path(), load_options());
}

void load_broken_program(Program program) {
  auto maker = maker_of(program);
  maker.plan.profiles[1].opt[0] = maker.plan.profiles[1].max[0] + 1;
  const Saved saved(std::move(maker));
  (void)Module::load(saved.path(), load_options());
}

}  // namespace reprise::test::checker
