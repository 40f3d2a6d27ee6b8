// How long single ops take on a GPU: `bench_cuda_ops [DEVICE=cuda:0] [PREFIX]`. Each is recorded and replayed in a row; prints name, microseconds of one
// (median of five rounds) and the gigabytes that it must move in that time. bench/cuda_ops.py runs PyTorch's beside it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "device/device.h"
#include "kernels/kernel.h"
#include "kernels/provider.h"
#include "sym/evaluate.h"

namespace {

using namespace reprise;
using kernels::OperandRef;
using Sizes = std::vector<std::int64_t>;

constexpr int kInARow = 20, kRounds = 5;

struct Operand {
  DType dtype;
  Sizes sizes;
  double low = -2, high = 2;  // values of inputs
  Sizes strides = {};         // empty: row-major
};
struct Case {
  std::string name;
  core::Op op;
  core::Attrs attrs;
  std::vector<Operand> inputs, outputs;
};

OperandRef operand_ref(const Operand& o, int slot) {
  OperandRef ref{.dtype = o.dtype, .slot = slot, .rank = static_cast<int>(o.sizes.size())};
  std::copy(o.sizes.begin(), o.sizes.end(), ref.sizes.begin());
  std::int64_t step = 1;
  for (std::size_t d = o.sizes.size(); d-- > 0; step *= o.sizes[d]) ref.strides[d] = o.strides.empty() ? step : o.strides[d];
  return ref;
}

Tensor values(const Operand& o) {
  std::mt19937 engine(1);
  std::uniform_real_distribution<double> draw(o.low, o.high);
  std::vector<double> v(static_cast<std::size_t>(operand_ref(o, 0).numel()));
  for (double& x : v) x = draw(engine);
  const Sizes flat{static_cast<std::int64_t>(v.size())};
  return Tensor::from_blob(v.data(), flat, DType::f64).to(o.dtype);
}

class Run {
 public:
  Run(const device::DevicePtr& device, const kernels::StepMaker& maker, const Case& c) : device_(device) {
    std::vector<OperandRef> in, out;
    for (const Operand& o : c.inputs) {
      const Tensor host = values(o);
      in.push_back(operand_ref(o, add(static_cast<std::size_t>(host.numel()) * item_size(o.dtype))));
      device_->copy(bindings_.back(), host.data(), memory_.back().size(), device_->default_stream());
      device_->default_stream().synchronize();
    }
    for (const Operand& o : c.outputs) out.push_back(operand_ref(o, add(static_cast<std::size_t>(operand_ref(o, 0).numel()) * item_size(o.dtype))));
    const kernels::BoundAttrs attrs(
        c.attrs, [](const sym::Expr& e) { return sym::evaluate(e, [](const std::string&) { return std::optional<sym::Number>(); }).value(); });
    device::StepList steps;
    std::size_t scratch = 0;
    for (int i = 0; i < kInARow; ++i) {
      steps.push_back(maker({.op = c.op, .inputs = in, .outputs = out, .attrs = &attrs, .threads = 1, .name = c.name}));
      scratch = std::max(scratch, steps.back()->scratch_bytes());
    }
    for (const auto& memory : memory_) bytes_ += static_cast<double>(memory.size());
    const int slot = add(scratch);
    for (const auto& step : steps) step->set_scratch_slot(slot);
    recording_ = device_->record(device_->make_command_list(std::move(steps)), bindings_);
  }

  [[nodiscard]] double bytes() const { return bytes_; }
  double microseconds() {
    std::vector<double> rounds;
    auto& stream = device_->default_stream();
    const auto begin = device_->make_event(), end = device_->make_event();
    for (int round = -1; round < kRounds; ++round) {
      stream.record(*begin);
      recording_->replay(stream, bindings_);
      stream.record(*end);
      stream.synchronize();
      if (round >= 0) rounds.push_back(device_->elapsed_ms(*begin, *end) * 1000 / kInARow);
    }
    std::sort(rounds.begin(), rounds.end());
    return rounds[rounds.size() / 2];
  }

 private:
  int add(std::size_t bytes) {
    memory_.emplace_back(device_, bytes);
    bindings_.push_back(memory_.back().data());
    return static_cast<int>(bindings_.size()) - 1;
  }

  device::DevicePtr device_;
  std::vector<device::Allocation> memory_;
  std::vector<void*> bindings_;
  std::unique_ptr<device::Recording> recording_;
  double bytes_ = 0;
};

core::Attr text(const char* value) { return std::string(value); }
core::Attr integer(std::int64_t value) { return sym::Expr(value); }
core::Attr ints(const Sizes& values) { return core::exprs(values); }

constexpr DType kF16 = DType::f16, kF32 = DType::f32, kI64 = DType::i64;

Case softmax(const char* name, DType dtype, const Sizes& sizes) {
  return {name, core::Op::softmax, {{"axis", integer(static_cast<std::int64_t>(sizes.size()) - 1)}, {"log", false}}, {{dtype, sizes}}, {{dtype, sizes}}};
}
Case layer_norm(const char* name, const Sizes& sizes) {
  const core::Attrs attrs{{"kind", text("layer")}, {"dims", integer(1)}, {"eps", 1e-5}, {"has_weight", true}, {"has_bias", true}};
  return {name, core::Op::norm, attrs, {{kF16, sizes}, {kF16, {sizes[1]}}, {kF16, {sizes[1]}}}, {{kF16, sizes}}};
}
Case topk(const char* name, const Sizes& sizes, std::int64_t k) {
  const Sizes kept{sizes[0], k};
  return {name, core::Op::topk, {{"axis", integer(1)}, {"largest", true}, {"sorted", true}}, {{kF32, sizes}}, {{kF32, kept}, {kI64, kept}}};
}
Case sort(const char* name, const Sizes& sizes) {
  return {name, core::Op::sort, {{"axis", integer(1)}, {"descending", false}, {"stable", true}}, {{kF32, sizes}}, {{kF32, sizes}, {kI64, sizes}}};
}
Case scan(const char* name, const Sizes& sizes) {
  return {name, core::Op::scan, {{"kind", text("sum")}, {"axis", integer(1)}}, {{kF32, sizes}}, {{kF32, sizes}}};
}
Case scatter(const char* name, const char* reduce, std::int64_t rows, std::int64_t width, std::int64_t targets) {
  const core::Attrs attrs{{"axis", integer(0)}, {"reduce", text(reduce)}, {"include_self", true}};
  const Operand index{kI64, {rows, width}, 0, static_cast<double>(targets) - 0.01, width > 1 ? Sizes{1, 0} : Sizes{}};
  return {name, core::Op::scatter, attrs, {{kF32, {targets, width}}, index, {kF32, {rows, width}}}, {{kF32, {targets, width}}}};
}

/// x[N, C, H, W], the channels innermost in memory.
Operand channels_last(DType dtype, const Sizes& n) { return {dtype, n, -2, 2, {n[1] * n[2] * n[3], 1, n[1] * n[3], n[1]}}; }

std::vector<Case> moves() {
  const core::Attrs pool{{"kind", text("max")}, {"kernel", ints({3, 3})}, {"stride", ints({2, 2})}, {"padding", ints({1, 1})}};
  const core::Attrs resize{{"kind", text("linear")}, {"align_corners", false}, {"antialias", false}, {"scales", std::vector<double>{}}};
  const core::Attrs pad{{"kind", text("constant")}, {"before", ints({0, 0, 1, 1})}, {"after", ints({0, 0, 1, 1})}, {"value", 0.0}};
  return {{"concat f16 2 x [16, 256, 56, 56]",
           core::Op::concat,
           {{"axis", integer(1)}},
           {{kF16, {16, 256, 56, 56}}, {kF16, {16, 256, 56, 56}}},
           {{kF16, {16, 512, 56, 56}}}},
          {"pad f16 [16, 64, 112, 112]", core::Op::pad, pad, {{kF16, {16, 64, 112, 112}}}, {{kF16, {16, 64, 114, 114}}}},
          {"max pool f16 [16, 64, 112, 112] NHWC", core::Op::pool, pool, {channels_last(kF16, {16, 64, 112, 112})}, {channels_last(kF16, {16, 64, 56, 56})}},
          {"max pool f16 [1, 64, 112, 112] NHWC", core::Op::pool, pool, {channels_last(kF16, {1, 64, 112, 112})}, {channels_last(kF16, {1, 64, 56, 56})}},
          {"global mean f16 [16, 2048, 7, 7] NHWC",
           core::Op::pool,
           {{"kind", text("adaptive_avg")}},
           {channels_last(kF16, {16, 2048, 7, 7})},
           {{kF16, {16, 2048, 1, 1}}}},
          {"resize f16 [4, 21, 64, 64] to 512", core::Op::resize, resize, {{kF16, {4, 21, 64, 64}}}, {{kF16, {4, 21, 512, 512}}}},
          {"embedding f16 [8192] of [50257, 768]",
           core::Op::index,
           {{"axes", ints({0})}, {"position", integer(0)}},
           {{kF16, {50257, 768}}, {kI64, {8192}, 0, 50256}},
           {{kF16, {8192, 768}}}},
          {"embedding f16 [128] of [50257, 768]",
           core::Op::index,
           {{"axes", ints({0})}, {"position", integer(0)}},
           {{kF16, {50257, 768}}, {kI64, {128}, 0, 50256}},
           {{kF16, {128, 768}}}},
          {"gather f32 [4096, 1024] of [4096, 4096]",
           core::Op::gather,
           {{"axis", integer(1)}},
           {{kF32, {4096, 4096}}, {kI64, {4096, 1024}, 0, 4095}},
           {{kF32, {4096, 1024}}}},
          {"index_put f16 [128] of [4096, 1024]",
           core::Op::index_put,
           {{"axes", ints({0})}, {"position", integer(0)}, {"accumulate", false}},
           {{kF16, {4096, 1024}}, {kF16, {128, 1024}}, {kI64, {128}, 0, 4095}},
           {{kF16, {4096, 1024}}}}};
}

std::vector<Case> cases() {
  const core::Attrs group{{"kind", text("group")}, {"groups", integer(32)}, {"eps", 1e-5}, {"has_weight", true}, {"has_bias", true}};
  const std::int64_t n = 10'000'000, m = 1'000'000;
  std::vector<Case> all{
      softmax("softmax f16 [24576, 128]", kF16, {24576, 128}),
      softmax("softmax f16 [4096, 4096]", kF16, {4096, 4096}),
      softmax("softmax f32 [64, 50257]", kF32, {64, 50257}),
      layer_norm("layer norm f16 [128, 768]", {128, 768}),
      layer_norm("layer norm f16 [8192, 768]", {8192, 768}),
      layer_norm("layer norm f16 [8192, 4096]", {8192, 4096}),
      {"group norm f16 [2, 320, 64, 64]", core::Op::norm, group, {{kF16, {2, 320, 64, 64}}, {kF16, {320}}, {kF16, {320}}}, {{kF16, {2, 320, 64, 64}}}},
      scan("cumsum f32 [1, 10M]", {1, n}),
      scan("cumsum f32 [4096, 2048]", {4096, 2048}),
      sort("sort f32 [1, 100k]", {1, 100'000}),
      sort("sort f32 [1, 1M]", {1, m}),
      sort("sort f32 [1, 10M]", {1, n}),
      sort("sort f32 [1000, 5000]", {1000, 5000}),
      topk("top 50 f32 [1, 50257]", {1, 50257}, 50),
      topk("top 50 f32 [64, 50257]", {64, 50257}, 50),
      topk("top 2 f32 [8192, 64]", {8192, 64}, 2),
      scatter("scatter f32 1M of 1M", "none", m, 1, m),
      scatter("scatter_add f32 1M to 1M", "sum", m, 1, m),
      scatter("scatter_add f32 1M to 100", "sum", m, 1, 100),
      scatter("scatter_add f32 [100k, 128] to 10k", "sum", 100'000, 128, 10'000),
      {"nonzero bool 10M", core::Op::nonzero, {}, {{DType::boolean, {n}, 0, 2}}, {{kI64, {n, 1}}, {kI64, {1}}}},
      {"unique i64 1M of 1000",
       core::Op::unique,
       {{"axis", integer(-1)}, {"consecutive", false}},
       {{kI64, {m}, 0, 1000}},
       {{kI64, {m}}, {kI64, {m}}, {kI64, {m}}, {kI64, {1}}}}};
  for (Case& c : moves()) all.push_back(std::move(c));
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto device = device::open(Device::parse(argc > 1 ? argv[1] : "cuda:0"));
    const auto maker = kernels::step_maker(device);
    for (const Case& c : cases()) {
      if (argc > 2 && !c.name.starts_with(argv[2])) continue;
      Run run(device, maker, c);
      const double time = run.microseconds();
      fmt::print("{}\t{:.2f}\t{:.0f}\n", c.name, time, run.bytes() / time / 1e3);
      std::fflush(stdout);
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
  return 0;
}
