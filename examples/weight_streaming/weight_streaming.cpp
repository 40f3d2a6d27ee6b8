// Runs a program with none, half and all of its weights on the device, plainly and recorded, and checks that the results are the same bits.
// Usage: weight_streaming [MODEL.pt2 [DEVICE]], e.g. examples/digits/digits.pt2 cuda:0
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "reprise/reprise.h"
#include "reprise/runtime.h"

namespace rp = reprise;
namespace rt = reprise::runtime;

namespace {

/// A tensor for every input, of its opt sizes.
std::vector<rp::Tensor> make_inputs(const rp::Module& module) {
  std::vector<rp::Tensor> inputs;
  for (const auto& entry : module.inputs()) {
    if (entry.kind != rp::SignatureEntry::Kind::tensor) continue;
    auto tensor = rp::Tensor::zeros(entry.opt, entry.dtype);
    if (entry.dtype == rp::DType::f32)
      for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.data_as<float>()[i] = static_cast<float>(i % 17) / 16;
    inputs.push_back(rt::copy_to(tensor, module.device()));
  }
  return inputs;
}

rp::Tensor first_result(const rp::Module& module, const std::vector<rp::Tensor>& inputs) {
  return rt::copy_to(std::get<rp::Tensor>(module(std::span<const rp::Tensor>(inputs))[0]), rp::Device::cpu());
}

bool same_bits(const rp::Tensor& a, const rp::Tensor& b) { return a.sizes() == b.sizes() && std::memcmp(a.data(), b.data(), a.nbytes()) == 0; }

int run(const std::string& path, const std::string& device) {
  auto module = rp::compile(rp::load_program(path), {.device = rp::Device::parse(device), .enable_weight_streaming = true});
  const auto inputs = make_inputs(module);
  const auto want = first_result(module, inputs);
  int passed = 0, failed = 0;
  {
    auto streaming = rt::weight_streaming(module);
    const auto total = streaming.total_device_budget();
    std::printf("%lld bytes of weights\n", static_cast<long long>(total));
    for (const auto budget : {std::int64_t{0}, total / 2, total}) {
      for (const bool recorded : {false, true}) {
        streaming.set_device_budget(budget);
        std::optional<rt::CudaGraphsScope> graphs;
        if (recorded) graphs.emplace(rt::enable_cudagraphs(module));
        const auto before = module.stats().streamed_bytes;
        const bool same = same_bits(first_result(module, inputs), want);
        std::printf("budget %lld, %s: %zu on the device, %llu copied in the call, %s\n", static_cast<long long>(budget), recorded ? "recorded" : "plain",
                    module.memory().weight_bytes, static_cast<unsigned long long>(module.stats().streamed_bytes - before),
                    same ? "the same bits" : "OTHER RESULTS");
        ++(same ? passed : failed);
      }
    }
  }
  std::printf("streamed after the scope: %s\n", rt::is_weight_streaming_set(module) ? "yes" : "no");
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** values) {
  try {
    return run(count > 1 ? values[1] : "examples/digits/digits.pt2", count > 2 ? values[2] : "cpu");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
