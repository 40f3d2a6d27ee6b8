#include "runtime/buckets.h"

#include <algorithm>

#include "device/device.h"
#include "exec/bound_shape.h"
#include "runtime/arguments.h"
#include "runtime/device_tensor.h"
#include "runtime/modes.h"
#include "runtime/module_impl.h"

namespace reprise::runtime {
namespace {

Tensor* tensor_of(Tensor& given) { return &given; }
Tensor* tensor_of(Argument& given) { return std::get_if<Tensor>(&given); }

/// `rows` rows, of which those behind the tensor's own are its first.
Tensor with_rows(const device::DevicePtr& module_device, const Tensor& tensor, std::int64_t rows) {
  const auto device = tensor.device() == module_device->id() ? module_device : device::open(tensor.device());
  std::vector<std::int64_t> sizes = tensor.sizes(), again = tensor.strides();
  const std::int64_t own = std::exchange(sizes[0], rows);
  Tensor padded = empty_tensor(device, sizes, tensor.dtype());
  auto& stream = device->default_stream();
  device->copy_strided(padded.data(), padded.strides(), tensor.data(), tensor.strides(), tensor.sizes(), item_size(tensor.dtype()), stream);
  sizes[0] = rows - own;
  again[0] = 0;
  auto* behind = static_cast<std::byte*>(padded.data()) + static_cast<std::size_t>(own * padded.strides()[0]) * item_size(tensor.dtype());
  device->copy_strided(behind, padded.strides(), tensor.data(), again, sizes, item_size(tensor.dtype()), stream);
  stream.synchronize();
  return padded;
}

/// A profile that the call may take admits these sizes.
bool is_admitted(const plan::Plan& plan, const exec::ProfileChoice& choice, std::span<const bool> known, std::span<const std::int64_t> symbols) {
  const auto admits = [&](const plan::Profile& profile) {
    for (std::size_t s = 0; s < symbols.size(); ++s) {
      const auto& range = plan.symbols.at(static_cast<int>(s)).range;
      if (known[s] && (symbols[s] < std::max(profile.min[s], range.min) || symbols[s] > std::min(profile.max[s], range.max))) return false;
    }
    return true;
  };
  if (choice.fixed) return admits(plan.profiles[static_cast<std::size_t>(choice.active)]);
  return std::any_of(plan.profiles.begin(), plan.profiles.end(), admits);
}

}  // namespace

const Independence& Buckets::independence(const plan::Plan& plan) {
  const std::scoped_lock lock(mutex_);
  if (!independence_) independence_ = find_independent_batch(plan);
  return *independence_;
}

void Buckets::pass(const std::string& reason) {
  const std::scoped_lock lock(mutex_);
  ++passed_[reason];
}

void Buckets::add_to(ModuleStats& stats) const {
  const std::scoped_lock lock(mutex_);
  stats.bucketed_calls = calls_;
  stats.padded_rows = rows_;
  for (const auto& [reason, count] : passed_) stats.unbucketed_by.push_back({reason, count});
}

template <class Given>
std::optional<PaddedCall<Given>> Buckets::pad(Module::Impl& impl, const CallModes& modes, std::span<const Given> inputs) {
  if (modes.buckets == nullptr || !modes.recorded) return std::nullopt;
  const plan::Plan& plan = *impl.plan;
  const auto& proven = independence(plan);
  const auto leave = [&](const std::string& reason) -> std::optional<PaddedCall<Given>> {
    pass(reason);
    return std::nullopt;
  };
  if (proven.symbol < 0) return leave("not_independent: " + proven.why_not);
  const auto values = check_arguments(plan, {impl.device->id(), multi_device_safe_mode()}, inputs);
  const auto symbol = static_cast<std::size_t>(proven.symbol);
  std::vector<std::int64_t> symbols(static_cast<std::size_t>(plan.symbols.size()));
  impl.executable->binder().bind(values.span(), symbols, modes.profile);
  exec::SymbolValues sizes(plan.symbols);
  sizes.reset(symbols, impl.executable->binder().known());
  const std::int64_t batch = symbols[symbol];
  if (batch == 0) return leave("empty");
  const auto bucket = std::lower_bound(modes.buckets->begin(), modes.buckets->end(), batch);
  if (bucket == modes.buckets->end()) return leave("over_buckets");
  if (*bucket == batch) return std::nullopt;
  symbols[symbol] = *bucket;
  if (!is_admitted(plan, modes.profile, impl.executable->binder().known(), symbols)) return leave("profile");

  PaddedCall<Given> padded{{inputs.begin(), inputs.end()}, {}};
  const bool with_constants = inputs.size() == plan.inputs.size();
  std::size_t next = 0;
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    if (plan.inputs[i].kind == plan::InputSpec::Kind::constant && !with_constants) continue;
    Tensor* tensor = tensor_of(padded.inputs[next++]);
    if (tensor != nullptr && proven.inputs[i]) *tensor = with_rows(impl.device, *tensor, *bucket);
  }
  for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
    auto& cut = padded.output_sizes.emplace_back();
    if (proven.outputs[i]) cut = exec::known_sizes(plan.outputs[i].sizes, sizes);
  }
  const std::scoped_lock lock(mutex_);
  ++calls_;
  rows_ += static_cast<std::uint64_t>(*bucket - batch);
  return padded;
}

template <class Given>
std::vector<Argument> PaddedCall<Given>::cut(std::vector<Argument> results) const {
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!output_sizes[i]) continue;
    Tensor& result = std::get<Tensor>(results[i]);
    void* data = result.data();
    const DType dtype = result.dtype();
    const Device device = result.device();
    result = Tensor::from_blob(data, *output_sizes[i], dtype, {}, device, [whole = std::move(result)] {});
  }
  return results;
}

template struct PaddedCall<Argument>;
template struct PaddedCall<Tensor>;
template std::optional<PaddedCall<Argument>> Buckets::pad(Module::Impl&, const CallModes&, std::span<const Argument>);
template std::optional<PaddedCall<Tensor>> Buckets::pad(Module::Impl&, const CallModes&, std::span<const Tensor>);

}  // namespace reprise::runtime
