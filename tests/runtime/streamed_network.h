// A chain of layers whose weights are streamed, on REPRISE_TEST_DEVICE (the CPU without it).
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "runtime/numbers.h"

namespace reprise::test {

inline Device tested_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}
inline Tensor to_device(const Tensor& tensor) { return runtime::copy_to(tensor, tested_device()); }
inline std::vector<float> host_values(const Argument& argument) { return values(Argument(runtime::copy_to(std::get<Tensor>(argument), Device::cpu()))); }

inline core::Attrs add_program() {
  std::vector<core::Instr> code = {{.op = core::ScalarOp::input}, {.op = core::ScalarOp::input, .imm_int = 1}, {.op = core::ScalarOp::add, .a = 0, .b = 1}};
  return {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32, DType::f32}, {}, std::move(code), {2}})}};
}

struct Network {
  std::int64_t width = 48;
  int layers = 6;
  bool streams = true, packed = false, broken = false, dynamic = false, table = false;

  [[nodiscard]] std::int64_t matrix_bytes() const { return width * width * 4; }
  [[nodiscard]] std::int64_t total() const { return layers * (matrix_bytes() + width * 4) + (table ? 64 * width * 4 : 0); }

  /// x[s, width], ids[s] → layers of x · W + b; dynamic: what is not 0 is counted half way.
  [[nodiscard]] plan::PlanPtr plan() const {
    PlanMaker m;
    m.plan.settings.enable_weight_streaming = streams;
    m.plan.settings.packed_weights = packed;
    const sym::Expr s = m.symbol("s", 1, 8);
    Ref h = m.input("x", {s, width});
    if (broken) m.plan.segments.push_back({false, "in fallback_ops"});
    if (table) h = add_rows(m, h, s);
    for (int i = 0; i < layers; ++i) {
      h = add_layer(m, h, s, i);
      if (dynamic && i == layers / 2) count(m, h);
    }
    return m.finish();
  }

 private:
  Ref add_rows(PlanMaker& m, const Ref& h, const sym::Expr& s) const {
    const Ref ids = m.input("ids", {s}, DType::i64), rows = m.temp({s, width}), sum = m.temp({s, width});
    Ref all = m.weight("table", numbers(64 * width, 99));
    all.sizes = {64, width};
    m.add(core::Op::index, {all, ids}, {rows}, {{"axes", std::vector<sym::Expr>{0}}, {"position", sym::Expr(0)}});
    m.add(core::Op::pointwise, {h, rows}, {sum}, add_program());
    return sum;
  }
  Ref add_layer(PlanMaker& m, const Ref& h, const sym::Expr& s, int i) const {
    Ref w = m.weight("w" + std::to_string(i), numbers(width * width, static_cast<unsigned>(i)));
    w.sizes = {width, width};
    Ref b = m.weight("b" + std::to_string(i), numbers(width, 100u + static_cast<unsigned>(i)));
    b.sizes = {s, width};
    const bool last = i == layers - 1;
    const Ref product = m.temp({s, width}), sum = last ? m.output("y", {s, width}) : m.temp({s, width});
    const int segment = broken && i % 2 != 0 ? 1 : 0;
    m.add(core::Op::matmul, {h, w}, {product}, {{"has_bias", false}}).segment = segment;
    auto& add = m.add(core::Op::pointwise, {product, b}, {sum}, add_program());
    add.inputs[1].strides = {0, 1};
    add.segment = segment;
    return sum;
  }
  static void count(PlanMaker& m, const Ref& h) {
    const sym::Expr u = m.symbol("u0", 0, 1 << 20, true);
    const Ref positions = m.output("positions", {u, 2}, DType::i64, sym::product(h.sizes) * 16), found = m.temp({1}, DType::i64);
    m.nonzero(h, positions, found, "u0");
  }
};

inline Module make(const Network& network) { return runtime::make_module(network.plan(), tested_device()); }

inline std::vector<Tensor> host_inputs_of(const Network& network, std::int64_t rows, unsigned seed = 7) {
  std::vector<Tensor> in = {floats(numbers(rows * network.width, seed), {rows, network.width})};
  if (!network.table) return in;
  Tensor ids = Tensor::empty(std::vector<std::int64_t>{rows}, DType::i64);
  for (std::int64_t i = 0; i < rows; ++i) ids.data_as<std::int64_t>()[i] = (i * 37 + seed) % 64;
  in.push_back(ids);
  return in;
}
inline std::vector<Tensor> inputs_of(const Network& network, std::int64_t rows, unsigned seed = 7) {
  std::vector<Tensor> in = host_inputs_of(network, rows, seed);
  for (Tensor& t : in) t = to_device(t);
  return in;
}
inline std::vector<float> y_of(const Module& module, const std::vector<Tensor>& in) { return host_values(call(module, in)[0]); }

inline std::vector<std::int64_t> budgets_of(const Network& network) {
  const std::int64_t total = network.total();
  return {0, total / 40, total / 3, total / 2, total * 3 / 4, total - 1, total};
}

}  // namespace reprise::test
