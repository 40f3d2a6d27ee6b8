#include "modes/subject.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace reprise::bench {
namespace {

bool has_batch(const SignatureEntry& entry) { return entry.kind == SignatureEntry::Kind::tensor && !entry.sizes.empty(); }

/// The expression of the first input's first size.
std::string batch_symbol(const Module& module) {
  for (const auto& entry : module.inputs())
    if (has_batch(entry)) return entry.min[0] < entry.max[0] ? entry.sizes[0] : "";
  return "";
}

Tensor fill(Tensor x, unsigned seed) {
  const Tensor plain = x.dtype() == DType::i64 || x.dtype() == DType::f32 ? x : Tensor::empty(x.sizes(), DType::f32);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    if (plain.dtype() == DType::i64)
      plain.data_as<std::int64_t>()[i] = seed >> 30 & 1;
    else
      plain.data_as<float>()[i] = static_cast<float>(seed >> 16 & 255u) / 128.0F - 1;
  }
  return plain.to(x.dtype());
}

}  // namespace

Module load_streaming(const std::string& path, const Settings& settings) {
  const auto saved = std::filesystem::temp_directory_path() / (std::filesystem::path(path).stem().string() + ".bench_modes.rpz");
  auto options = settings.compile;
  options.enable_weight_streaming = true;
  compile(load_program(path), options).save(saved.string());
  auto module = Module::load(saved.string());
  std::filesystem::remove(saved);
  return module;
}

Subject make_subject(const std::string& path, const Settings& settings) {
  const auto program = load_program(path);
  Subject subject{.path = path, .name = std::filesystem::path(path).stem().string(), .whole = compile(program, settings.compile), .broken = {}};
  for (const auto& entry : subject.whole.inputs())
    if (has_batch(entry)) {
      subject.min_batch = entry.min[0], subject.opt_batch = entry.opt[0], subject.max_batch = entry.max[0];
      break;
    }
  auto options = settings.compile;
  options.fallback_ops = settings.breaking_ops;
  for (const auto& segment : dryrun(program, options).segments) subject.breaks += segment.engine ? 0 : 1;
  if (subject.breaks > 0) subject.broken = compile(program, options);
  return subject;
}

std::vector<Tensor> make_inputs(const Module& module, std::int64_t batch, unsigned seed) {
  const std::string symbol = batch_symbol(module);
  std::vector<Tensor> inputs;
  for (const auto& entry : module.inputs()) {
    if (entry.kind == SignatureEntry::Kind::constant) continue;
    auto sizes = entry.opt;
    for (std::size_t d = 0; d < sizes.size(); ++d)
      if (!symbol.empty() && entry.sizes[d] == symbol) sizes[d] = batch;
    inputs.push_back(runtime::copy_to(fill(Tensor::empty(sizes, entry.dtype), ++seed), module.device()));
  }
  return inputs;
}

std::vector<Tensor> make_outputs(const Module& module, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> outputs;
  for (const auto& entry : module.outputs())
    if (entry.kind == SignatureEntry::Kind::tensor)
      outputs.push_back(runtime::empty(module.output_sizes(inputs, outputs.size()), entry.dtype, module.device()));
  return outputs;
}

std::vector<Tensor> results_of(const Module& module, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> tensors;
  for (const auto& result : module(inputs))
    if (const auto* tensor = std::get_if<Tensor>(&result)) tensors.push_back(*tensor);
  return tensors;
}

bool same_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want) {
  return std::equal(got.begin(), got.end(), want.begin(), want.end(), [](const Tensor& a, const Tensor& b) {
    const Tensor x = runtime::copy_to(a, Device::cpu()), y = runtime::copy_to(b, Device::cpu());
    return x.sizes() == y.sizes() && std::memcmp(x.data(), y.data(), x.nbytes()) == 0;
  });
}

double tolerance(const Settings& settings) { return settings.compile.dtype == DType::f32 && !settings.compile.allow_tf32 ? 1e-4 : 2e-2; }

}  // namespace reprise::bench
