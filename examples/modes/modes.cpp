// The runtime modes one after the other, with what they print: modes [FOLDER with the programs [DEVICE [a ResNet-18 with a dynamic batch]]]
#include <reprise/reprise.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace rp = reprise;
namespace rt = reprise::runtime;

namespace {

int failures = 0;
rp::Device device = rp::Device::cpu();

/// Prints a statement, and remembers when it does not hold.
void tell(const std::string& what, bool holds) {
  std::printf("  %s: %s\n", what.c_str(), holds ? "yes" : "NO");
  failures += holds ? 0 : 1;
}

rp::Tensor numbers(std::vector<std::int64_t> sizes, int seed) {
  auto made = rp::Tensor::empty(sizes, rp::DType::f32);
  for (std::int64_t i = 0; i < made.numel(); ++i) made.data_as<float>()[i] = static_cast<float>((i * 37 + seed * 11) % 101 - 50) / 50;
  return rt::copy_to(made, device);
}

rp::Tensor on_host(const rp::Tensor& tensor) { return rt::copy_to(tensor, rp::Device::cpu()); }

bool same(const rp::Tensor& a, const rp::Tensor& b) { return a.sizes() == b.sizes() && std::memcmp(on_host(a).data(), on_host(b).data(), a.nbytes()) == 0; }

rp::Module compile(const std::string& path, rp::CompileOptions options = {}) {
  options.device = device;
  return rp::compile(rp::load_program(path), options);
}

template <class Callee>
rp::Tensor result(const Callee& callee, const rp::Tensor& x, std::size_t index = 0) {
  return std::get<rp::Tensor>(callee(std::vector<rp::Tensor>{x}).at(index));
}

const char* name(rt::CudaGraphsMode mode) {
  return mode == rt::CudaGraphsMode::standard ? "standard" : mode == rt::CudaGraphsMode::subgraph_cudagraphs ? "subgraph" : "whole graph";
}

/// A convolutional net with batches of 16, 8, 4 and 16 again, recorded. `broken`: with some ops outside its engine.
void batches(const std::string& path, std::int64_t side, bool broken) {
  const auto module =
      compile(path, {.fallback_ops = broken ? std::vector<std::string>{"torch.ops.aten.relu.default", "aten.relu_.default"} : std::vector<std::string>{}});
  std::vector<rp::Tensor> inputs, plain;
  for (const int batch : {16, 8, 4, 16}) inputs.push_back(numbers({batch, 3, side, side}, batch));
  for (const auto& x : inputs) plain.push_back(result(module, x));
  const auto graphs = rt::enable_cudagraphs(module);
  std::printf("batches of 16, 8, 4 and 16 in %s mode\n", name(graphs.mode()));
  std::vector<rp::Tensor> kept;
  for (const auto& x : inputs) kept.push_back(result(graphs, x));
  for (const auto& x : inputs) (void)result(graphs, x);
  tell("results are those of standard mode, and later replays leave them alone", std::equal(kept.begin(), kept.end(), plain.begin(), same));
  const auto stats = module.stats();
  std::printf("  records %llu, replays %llu, staged copies %llu\n", static_cast<unsigned long long>(stats.records),
              static_cast<unsigned long long>(stats.replays), static_cast<unsigned long long>(stats.staged_inputs + stats.staged_outputs));
}

/// relu((x + 2) * 0.5) with mul outside: a graph break, and one recording around it.
void graph_break(const std::string& folder) {
  const std::string path = folder + "/break.pt2";
  const rp::CompileOptions options = {.torch_executed_ops = {"torch.ops.aten.mul.Tensor"}};
  std::printf("relu((x + 2) * 0.5) without mul\n%s", rp::dryrun(rp::load_program(path), options).str().c_str());
  const auto module = compile(path, options);
  const auto graphs = rt::enable_cudagraphs(module);
  const auto input = numbers({4, 8}, 1), x = on_host(input), y = on_host(result(graphs, input));
  bool right = true;
  for (std::int64_t i = 0; i < x.numel(); ++i) right = right && y.data_as<float>()[i] == std::max((x.data_as<float>()[i] + 2) * 0.5F, 0.0F);
  std::printf("  mode: %s, records %llu\n", name(graphs.mode()), static_cast<unsigned long long>(module.stats().records));
  tell("the values are right", right);
}

/// Memory for results from a pool of one's own.
class Pool final : public rt::OutputAllocator {
 public:
  rp::Tensor allocate(const rt::OutputRequest& request) override {
    std::printf("  asked for %zu bytes%s for output %zu\n", request.bytes, request.is_bound ? " at most" : "", request.index);
    const std::int64_t sizes[] = {static_cast<std::int64_t>(request.bytes)};
    return rt::empty(sizes, rp::DType::u8, request.device);
  }
  void notify_shape(std::size_t index, std::span<const std::int64_t> sizes) override {
    std::printf("  output %zu has %lld rows\n", index, static_cast<long long>(sizes[0]));
  }
};

void data_dependent(const std::string& folder) {
  std::printf("x[x > 0] and nonzero(x > 0) through an output allocator\n");
  const auto module = compile(folder + "/masked.pt2");
  tell("requires_output_allocator", module.requires_output_allocator());
  const auto scope = rt::enable_output_allocator(module, std::make_shared<Pool>());
  const auto input = numbers({12}, 3), x = on_host(input);
  const auto outputs = scope(std::vector<rp::Tensor>{input});
  const auto positive = std::count_if(x.data_as<float>(), x.data_as<float>() + 12, [](float v) { return v > 0; });
  tell("as many as there are", std::get<rp::Tensor>(outputs[0]).size(0) == positive && std::get<rp::Tensor>(outputs[1]).size(0) == positive);
}

/// Results of a loop, kept as they are and as clones.
void pre_allocated(const std::string& folder) {
  std::printf("pre-allocated outputs\n");
  const auto module = compile(folder + "/break.pt2");
  std::vector<rp::Tensor> inputs, want, kept, cloned;
  for (int i = 0; i < 4; ++i) want.push_back(result(module, inputs.emplace_back(numbers({4, 8}, i))));
  const auto scope = rt::enable_pre_allocated_outputs(module);
  for (const auto& x : inputs) cloned.push_back(rt::copy_to(kept.emplace_back(result(scope, x)), device));
  tell("all results lie where the first one lay", std::all_of(kept.begin(), kept.end(), [&](const auto& y) { return y.data() == kept[0].data(); }));
  tell("without a clone each is the last one", std::all_of(kept.begin(), kept.end(), [&](const auto& y) { return same(y, want.back()); }));
  tell("clones stay what they were", std::equal(cloned.begin(), cloned.end(), want.begin(), same));
}

void streaming(const std::string& folder) {
  std::printf("weight streaming\n");
  const auto module = compile(folder + "/blocks.pt2", {.enable_weight_streaming = true});
  const auto x = numbers({2, 3, 16, 16}, 5), want = result(module, x);
  auto weights = rt::weight_streaming(module);
  const auto total = weights.total_device_budget();
  for (const auto& [label, budget] : {std::pair("all", total), std::pair("half", total / 2), std::pair("0", std::int64_t{0})}) {
    weights.set_device_budget(budget);
    const auto before = module.stats().streamed_bytes;
    tell(std::string("budget ") + label + ": the same result", same(result(module, x), want));
    tell("  bytes streamed exactly when something must be",
         (module.stats().streamed_bytes > before) == (budget < total) && rt::is_weight_streaming_set(module) == (budget < total));
  }
}

void by_hand(const std::string& folder) {
  const auto module = compile(folder + "/break.pt2", {.fallback_ops = {"aten.mul"}});
  const auto print = [](const char* when) {
    std::printf("  %-28s get_cudagraphs_mode %d, get_whole_cudagraphs_mode %d\n", when, rt::get_cudagraphs_mode(), rt::get_whole_cudagraphs_mode());
  };
  std::printf("modes by hand\n");
  print("at first");
  rt::set_cudagraphs_mode(true);
  print("set_cudagraphs_mode(true)");
  {
    const auto graphs = rt::enable_cudagraphs(module);
    print("in a scope with a break");
  }
  print("behind it");
  rt::set_cudagraphs_mode(false);
  print("set_cudagraphs_mode(false)");
}

/// The next one, or the same one again where there is none.
rp::Device second_device() {
  const rp::Device next{device.type, device.index + 1};
  try {
    (void)rt::empty(std::vector<std::int64_t>{1}, rp::DType::f32, next);
    return next;
  } catch (const rp::DeviceError&) {
    return device;
  }
}

void threads(const std::string& folder) {
  std::printf("eight threads on two devices\n");
  const auto module = compile(folder + "/blocks.pt2", {.threads = 1});
  const rp::Module modules[] = {module, module.to(second_device())};
  std::vector<rp::Tensor> inputs, want;
  for (int i = 0; i < 8; ++i) want.push_back(result(module, inputs.emplace_back(numbers({1 + i, 3, 16, 16}, i))));
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> running;
  for (std::size_t t = 0; t < 8; ++t) {
    running.emplace_back([&, t] {
      const auto& mine = modules[t % 2];
      const auto graphs = rt::enable_cudagraphs(mine);
      for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t which = (i + t) % 8;
        if (!same(result(graphs, rt::copy_to(inputs[which], mine.device())), want[which])) ++wrong;
      }
    });
  }
  running.clear();
  tell("every result is right", wrong == 0);
  std::printf("  devices %s and %s, calls %llu and %llu\n", modules[0].device().str().c_str(), modules[1].device().str().c_str(),
              static_cast<unsigned long long>(modules[0].stats().calls), static_cast<unsigned long long>(modules[1].stats().calls));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : ".";
  if (argc > 2) device = rp::Device::parse(argv[2]);
  const std::string net = argc > 3 ? argv[3] : folder + "/blocks.pt2";
  const std::int64_t side = argc > 3 ? 224 : 16;
  for (const bool broken : {false, true}) batches(net, side, broken);
  graph_break(folder);
  data_dependent(folder);
  pre_allocated(folder);
  streaming(folder);
  by_hand(folder);
  threads(folder);
  return failures == 0 ? 0 : 1;
}
