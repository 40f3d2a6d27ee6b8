#include "kernels/cpu/candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/gemm/tiles.h"
#include "kernels/reference/epilogue.h"
#include "kernels/reference/factories.h"

namespace reprise::kernels::cpu {
namespace {

constexpr const char *kPlain = "reference", *kWinograd = "winograd", *kDepthwise = "depthwise";

struct Blocks {
  std::string_view name;
  std::int64_t bytes;
};
constexpr std::array kBlocks = {Blocks{"256k", 1 << 18}, Blocks{"1m", 1 << 20}, Blocks{"4m", 1 << 22}};

MadeStep made(StepPtr step, std::string_view name) {
  if (!step) return {};
  return {std::move(step), {std::string(name)}};
}

/// Bytes of a variant's blocks, 0 for none. nullopt: not a variant.
std::optional<std::int64_t> block_bytes(std::string_view variant) {
  if (variant.empty()) return 0;
  for (const Blocks& blocks : kBlocks)
    if (blocks.name == variant) return blocks.bytes;
  return std::nullopt;
}

StepPtr make_winograd_variant(const Contraction& conv, WeightCache& weights, std::string_view variant) {
  if (variant.empty()) return make_winograd(conv, weights);
  return variant == "2" || variant == "4" ? make_winograd(conv, weights, variant == "2" ? 2 : 4) : nullptr;
}

NamedStep make_product(const Contraction& c, WeightCache& weights, std::int64_t bytes) {
  return c.spec.op == core::Op::conv ? make_conv_product(c, weights, bytes) : make_gemm(c, weights, bytes);
}

/// Of one command: `make` may give no step, and `plain` is what then stands in its place (empty: nothing does).
template <class Make>
MadeStep make_with(const StepSpec& spec, bool plain, const Make& make) {
  const auto alone = [&](const StepSpec& contraction) {
    MadeStep step = make(Contraction{.spec = contraction});
    if (!step.step && plain) step = made(spec.op == core::Op::conv ? reference::make_conv(contraction) : reference::make_matmul(contraction), kPlain);
    return step;
  };
  if (!spec.attrs->has("epilogue")) return alone(spec);
  if (const auto contraction = Contraction::fused(spec)) {
    if (MadeStep step = make(*contraction); step.step) return step;
  }
  MadeStep all;
  StepPtr step = reference::make_with_epilogue(spec, [&](const StepSpec& contraction) {
    all = alone(contraction);
    return std::move(all.step);
  });
  if (all.kernels.empty()) return {};
  all.step = std::move(step);
  if (all.kernels.back() != kPlain) all.kernels.emplace_back(kPlain);
  return all;
}

}  // namespace

MadeStep Contractions::make(const StepSpec& spec) {
  return make_with(spec, true, [this](const Contraction& c) { return make_fused(c); });
}

MadeStep Contractions::make(const StepSpec& spec, std::string_view name) {
  return make_with(spec, name == kPlain, [&](const Contraction& c) { return make_fused(c, name); });
}

MadeStep Contractions::make_fused(const Contraction& contraction) {
  if (NamedStep own = make_gemm(contraction, weights_); own.step) return made(std::move(own.step), own.name);
  if (contraction.spec.op == core::Op::conv) return make_conv(contraction);
  return ask_library(contraction);
}

MadeStep Contractions::make_conv(const Contraction& conv) {
  if (StepPtr step = make_winograd(conv, weights_)) return made(std::move(step), kWinograd);
  const auto own = [&] {
    if (NamedStep product = make_conv_product(conv, weights_); product.step) return made(std::move(product.step), product.name);
    return made(make_depthwise(conv, weights_), kDepthwise);
  };
  const bool own_first = is_better_product(conv);
  MadeStep step = own_first ? own() : ask_library(conv);
  if (!step.step) step = own_first ? ask_library(conv) : own();
  return step;
}

MadeStep Contractions::ask_library(const Contraction& contraction) {
  return library_ ? made(library_->make_contraction(contraction), library_->name()) : MadeStep();
}

MadeStep Contractions::make_fused(const Contraction& c, std::string_view name) {
  const std::string_view kernel = name.substr(0, name.find(':')), variant = name.substr(std::min(name.size(), kernel.size() + 1));
  if (library_ && kernel == library_->name()) return made(library_->make_contraction(c, variant), name);
  if (kernel == kWinograd) return made(make_winograd_variant(c, weights_, variant), name);
  if (kernel == kDepthwise) return variant.empty() ? made(make_depthwise(c, weights_), name) : MadeStep();
  const auto bytes = block_bytes(variant);
  if (!bytes || kernel != tile_kernel(c.spec.outputs[0].dtype, active_isa()).name) return {};
  return made(make_product(c, weights_, *bytes).step, name);
}

std::vector<std::string> Contractions::names(const StepSpec& spec, bool variants) const {
  if (spec.inputs.size() < 2 || spec.outputs.empty() || !is_fixed(spec, spec.inputs[1])) return {};
  std::vector<std::string> names;
  if (library_) names.emplace_back(library_->name());
  const bool conv = spec.op == core::Op::conv;
  if (conv) names.insert(names.end(), {kWinograd, kDepthwise});
  const std::string own = tile_kernel(spec.outputs[0].dtype, active_isa()).name;
  if (!own.empty()) names.push_back(own);
  if (!variants) return names;
  if (conv) names.insert(names.end(), {fmt::format("{}:2", kWinograd), fmt::format("{}:4", kWinograd)});
  for (const Blocks& blocks : kBlocks)
    if (!own.empty()) names.push_back(fmt::format("{}:{}", own, blocks.name));
  if (!library_) return names;
  const auto fused = spec.attrs->has("epilogue") ? Contraction::fused(spec) : std::nullopt;
  for (const std::string& variant : library_->variants(fused ? *fused : Contraction{.spec = spec}))
    names.push_back(fmt::format("{}:{}", library_->name(), variant));
  return names;
}

std::string Contractions::version() const { return library_ ? fmt::format("{} {}", library_->name(), library_->version()) : "no library"; }

}  // namespace reprise::kernels::cpu
