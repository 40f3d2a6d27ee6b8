#include "kernels/cuda/candidates.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "kernels/cuda/conv_direct.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_cluster.h"

namespace reprise::kernels::cuda {
namespace {

struct Problem {
  SplitSpec split;
  Contraction contraction;
  bool constant_b = false;
};

/// The command's right operand is a weight, which never changes.
bool has_constant_b(const StepSpec& spec) {
  const auto slot = static_cast<std::size_t>(spec.inputs[1].slot);
  return slot < spec.fixed.size() && spec.fixed[slot] != nullptr;
}

Problem describe(const StepSpec& spec) {
  SplitSpec split = split_epilogue(spec);
  Contraction contraction = spec.op == core::Op::conv ? describe_conv(split.spec) : describe_matmul(split.spec);
  return {std::move(split), std::move(contraction), has_constant_b(spec)};
}

int number(std::string_view& text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc() ? value : -1;
}

/// Our own kernels compute the epilogue where they store, or a pointwise kernel does behind them.
template <class Make>
StepPtr with_epilogue(Gpu& gpu, const Problem& p, const Make& make) {
  const Epilogue& e = p.split.epilogue;
  if (lies_as(e, p.contraction.y)) return make(finish_of(e));
  return followed_by(gpu, make(Finish{}), e, p.split.spec);
}

StepPtr make_tiles(Gpu& gpu, const Problem& p, const GemmChoice& choice) {
  return with_epilogue(gpu, p, [&](const Finish& finish) { return make_gemm(gpu, p.contraction, choice, finish); });
}

StepPtr make_clusters(Gpu& gpu, const Problem& p, const ClusterChoice& choice) {
  return with_epilogue(gpu, p, [&](const Finish& finish) { return make_cluster_gemm(gpu, p.contraction, choice, p.constant_b, finish); });
}

StepPtr make_direct(Gpu& gpu, const Problem& p) {
  if (p.split.spec.op != core::Op::conv) return nullptr;
  return with_epilogue(gpu, p, [&](const Finish& finish) { return make_direct_conv(gpu, p.contraction, finish); });
}

/// TILExSPLITS. -1 for what is no number.
std::pair<int, int> tile_and_splits(std::string_view name) {
  const int tile = number(name);
  if (!name.starts_with('x')) return {-1, -1};
  name.remove_prefix(1);
  return {tile, number(name)};
}

StepPtr make_named_tiles(Gpu& gpu, const Problem& p, std::string_view name) {
  const auto [tile, splits] = tile_and_splits(name);
  const GemmChoice choice{tile, splits};
  return is_gemm_choice(p.contraction, choice) ? make_tiles(gpu, p, choice) : nullptr;
}

StepPtr make_named_clusters(Gpu& gpu, const Problem& p, std::string_view name) {
  const auto [tile, splits] = tile_and_splits(name);
  const ClusterChoice choice{tile, splits};
  return cluster_gemm_takes(gpu, p.contraction) && is_cluster_choice(gpu, p.contraction, choice) ? make_clusters(gpu, p, choice) : nullptr;
}

StepPtr make_cublaslt(Gpu& gpu, const Problem& p, int rank) {
  if (rank < 0) return nullptr;
  const auto at = static_cast<std::size_t>(rank);
  std::vector<StepPtr> steps = make_cublaslt_steps(gpu, p.contraction, p.split.epilogue, rank + 1);
  if (at < steps.size()) return std::move(steps[at]);
  if (!p.split.epilogue || !steps.empty()) return nullptr;
  steps = make_cublaslt_steps(gpu, p.contraction, {}, rank + 1);
  return at < steps.size() ? followed_by(gpu, std::move(steps[at]), p.split.epilogue, p.split.spec) : nullptr;
}

bool takes_cublaslt(const Problem& p) { return cublaslt_takes(p.contraction, p.split.epilogue) || (p.split.epilogue && cublaslt_takes(p.contraction, {})); }

std::size_t count_cublaslt(Gpu& gpu, const Problem& p, int most) {
  const std::size_t n = make_cublaslt_steps(gpu, p.contraction, p.split.epilogue, most).size();
  return n > 0 || !p.split.epilogue ? n : make_cublaslt_steps(gpu, p.contraction, {}, most).size();
}

StepPtr make_likely(Gpu& gpu, const Problem& p) {
  const bool conv = p.split.spec.op == core::Op::conv, thin = conv && has_thin_groups(p.contraction);
  StepPtr step;
  if (!conv) step = make_cublaslt(gpu, p, 0);
  if (conv && !thin) step = make_cudnn_conv(gpu, p.split);
  if (!step) step = thin ? make_direct(gpu, p) : make_tiles(gpu, p, choose_gemm(gpu, p.contraction));
  return step;
}

}  // namespace

void check_contraction(const StepSpec& spec) { (void)describe(spec); }

std::vector<std::string> contraction_candidates(Gpu& gpu, const StepSpec& spec, int most) {
  const Problem p = describe(spec);
  std::vector<std::string> names;
  if (p.contraction.y.numel() == 0) return names;
  const bool conv = spec.op == core::Op::conv, thin = conv && has_thin_groups(p.contraction);
  if (thin) names.emplace_back("direct");
  if (conv) {
    for (const std::string& plan : cudnn_plans(gpu, p.split, most)) names.push_back("cudnn:" + plan);
  }
  for (std::size_t i = 0, n = count_cublaslt(gpu, p, most); i < n; ++i) names.push_back(fmt::format("cublaslt:{}", i));
  if (cluster_gemm_takes(gpu, p.contraction)) {
    for (const ClusterChoice& choice : cluster_choices(gpu, p.contraction, most)) names.push_back(fmt::format("cluster:{}x{}", choice.tile, choice.splits));
  }
  for (const GemmChoice& choice : gemm_choices(gpu, p.contraction)) names.push_back(fmt::format("gemm:{}x{}", choice.tile, choice.splits));
  return names;
}

std::string likely_contraction(const StepSpec& spec) {
  const Problem p = describe(spec);
  if (spec.op != core::Op::conv) return takes_cublaslt(p) ? "cublaslt" : "gemm";
  if (has_thin_groups(p.contraction)) return "direct";
  return cudnn_takes(p.split) ? "cudnn" : "gemm";
}

void request_companions(Gpu& gpu, const StepSpec& spec) {
  const Problem p = describe(spec);
  if (p.contraction.y.numel() == 0) return;
  if (spec.op == core::Op::conv) (void)finish_plain_conv(gpu, make_empty_step(), p.split);
  if (p.contraction.convolution == Convolution::none) (void)followed_by(gpu, make_empty_step(), p.split.epilogue, p.split.spec);
}

StepPtr make_contraction(Gpu& gpu, const StepSpec& spec, std::string_view name) {
  const Problem p = describe(spec);
  if (p.contraction.y.numel() == 0) return make_empty_step();
  const std::string_view kind = name.substr(0, name.find(':'));
  std::string_view rest = name.substr(std::min(name.size(), kind.size() + 1));
  if (name.empty()) return make_likely(gpu, p);
  if (kind == "direct") return make_direct(gpu, p);
  if (kind == "gemm") return make_named_tiles(gpu, p, rest);
  if (kind == "cluster") return make_named_clusters(gpu, p, rest);
  if (kind == "cublaslt") return make_cublaslt(gpu, p, number(rest));
  if (kind == "cudnn" && spec.op == core::Op::conv) return make_cudnn_conv(gpu, p.split, std::string(rest));
  return nullptr;
}

}  // namespace reprise::kernels::cuda
