// A program whose two custom ops Reprise has never heard of: one becomes core ops by a converter, the other runs as a foreign kernel.
//   custom_ops [FOLDER with custom_ops.pt2 and calls.npz]     writes custom_ops.rpz where it runs
#include <reprise/reprise.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rp = reprise;

namespace {

/// hard_mish(x, slope) = x / 2 * clamp(x * slope + 2, 0, 2), written with the builder. Later passes fuse it into what stands around it.
rp::Converter hard_mish() {
  return {.schema = "demo::hard_mish(Tensor x, float slope=1.0) -> Tensor",
          .convert =
              [](rp::ConversionContext& ctx) {
                auto& b = ctx.builder();
                const rp::Value x = ctx.value("x");
                const rp::Value shifted = b.binary("add", b.binary("mul", x, ctx.real("slope")), 2.0);
                const rp::Value clamped = b.binary("minimum", b.binary("maximum", shifted, 0.0), 2.0);
                return std::vector{b.binary("mul", b.binary("mul", x, 0.5), clamped)};
              },
          .capability_validator = [](const rp::OpNode& node) -> std::optional<std::string> {
            if (rp::is_floating(node.tensor_info("x").dtype)) return std::nullopt;
            return "hard_mish is for floating point tensors";
          },
          .supports_dynamic_shapes = true};
}

/// average += weight * (mean of x's rows - average), in place: `Tensor(a!)` says so, as in PyTorch.
rp::ForeignKernel moving_average() {
  return {.schema = "demo::moving_average_(Tensor(a!) average, Tensor x, float weight) -> ()",
          .host =
              [](const rp::ForeignCall& call) {
                const auto average = call.input("average"), x = call.input("x");
                const auto rows = x.sizes[0], columns = x.sizes[1];
                for (std::int64_t c = 0; c < columns; ++c) {
                  float sum = 0;
                  for (std::int64_t r = 0; r < rows; ++r) sum += x.data_as<float>()[r * columns + c];
                  float& a = average.data_as<float>()[c];
                  a += static_cast<float>(call.real("weight")) * (sum / static_cast<float>(rows) - a);
                }
              },
          .supports_dynamic_shapes = true};
}

/// The largest difference of a result from what PyTorch gave.
float difference(const rp::Argument& result, const rp::Tensor& want) {
  const auto& got = std::get<rp::Tensor>(result);
  float most = got.sizes() == want.sizes() ? 0 : INFINITY;
  for (std::int64_t i = 0; most < INFINITY && i < want.numel(); ++i) most = std::max(most, std::abs(got.data_as<float>()[i] - want.data_as<float>()[i]));
  return most;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : ".";
  const auto program = rp::load_program(folder + "/custom_ops.pt2");
  std::map<std::string, rp::Tensor> calls;
  for (const auto& [name, array] : rp::load_npz(folder + "/calls.npz")) calls.emplace(name, array);

  try {
    (void)rp::compile(program);
    return 1;
  } catch (const rp::UnsupportedOp& error) {
    std::printf("without registrations: %s\n", error.what());
  }

  rp::register_converter(hard_mish());
  rp::register_foreign_kernel(moving_average());
  std::printf("%s", rp::dryrun(program).str().c_str());

  rp::compile(program, {.inputs = {rp::Input{.min_shape = {1, 8}, .opt_shape = {5, 8}, .max_shape = {32, 8}}}}).save("custom_ops.rpz");
  const auto module = rp::Module::load("custom_ops.rpz");  // it needs the foreign kernel, but no longer the converter

  const auto graphs = rp::runtime::enable_cudagraphs(module);
  const std::vector<rp::Tensor> inputs = {calls.at("input_0")};
  const float first = difference(graphs(inputs).at(0), calls.at("output_0"));  // warms the kernel up, records, and the average has moved once
  const float second = difference(graphs(inputs).at(0), calls.at("output2_0"));
  const auto stats = module.stats();
  std::printf("differences from PyTorch: %.1e, %.1e; %llu recording, %llu replays, %llu warm-ups\n", first, second,
              static_cast<unsigned long long>(stats.records), static_cast<unsigned long long>(stats.replays), static_cast<unsigned long long>(stats.warm_ups));
  return first < 1e-5F && second < 1e-5F && stats.records == 1 && stats.warm_ups == 3 ? 0 : 1;
}
