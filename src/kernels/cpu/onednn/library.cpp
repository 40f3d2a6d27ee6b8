#include "kernels/cpu/onednn/library.h"

#include <fmt/ranges.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "device/bindable_step.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/stored_forms.h"

namespace reprise::kernels::cpu {
namespace {

/// A stream per thread: they hold nothing that a call must wait for.
dnnl::stream& thread_stream() {
  thread_local dnnl::stream stream(engine());
  return stream;
}

}  // namespace

const dnnl::engine& engine() {
  static const dnnl::engine cpu = [] {
    using enum dnnl::cpu_isa;
    constexpr dnnl::cpu_isa kMost[] = {sse41, avx2, avx512_core, avx512_core_bf16};  // by Isa
    if (const Isa isa = active_isa(); isa != Isa::amx) dnnl::set_max_cpu_isa(kMost[static_cast<std::size_t>(isa)]);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return cpu;
}

std::optional<dnnl::memory::data_type> data_type(DType dtype) {
  if (dtype == DType::f32) return dnnl::memory::data_type::f32;
  if (dtype == DType::bf16) return dnnl::memory::data_type::bf16;
  return std::nullopt;
}

dnnl::memory::dims dims_of(const OperandRef& operand) { return {operand.sizes.begin(), operand.sizes.begin() + operand.rank}; }
dnnl::memory::dims strides_of(const OperandRef& operand) { return {operand.strides.begin(), operand.strides.begin() + operand.rank}; }

dnnl::memory::desc describe(const OperandRef& operand) { return {dims_of(operand), *data_type(operand.dtype), strides_of(operand)}; }

// What its kernels ask when they are made and when they run.
ThreadScope::ThreadScope(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
ThreadScope::~ThreadScope() { omp_set_num_threads(before_); }

// ---- packed weights ----

std::string PackedWeights::key(const void* from, const dnnl::memory::desc& as, const dnnl::memory::desc& to) {
  std::string text(reinterpret_cast<const char*>(&from), sizeof from);
  for (const auto* layout : {&as, &to}) text.append(reinterpret_cast<const char*>(&layout->data), sizeof layout->data);
  return text;
}

PackedWeights::Packed PackedWeights::pack(const void* from, const dnnl::memory::desc& as, const dnnl::memory::desc& to) {
  const std::lock_guard lock(mutex_);
  auto& known = known_[key(from, as, to)];
  if (auto packed = known.lock()) return packed;
  // As they lie, where the primitive takes them so.
  if (as == to) {
    auto same = std::make_shared<const dnnl::memory>(to, engine(), const_cast<void*>(from));
    known = same;
    return same;
  }
  auto made = std::make_shared<dnnl::memory>(to, engine());
  dnnl::memory source(as, engine(), const_cast<void*>(from));
  dnnl::reorder(source, *made).execute(thread_stream(), source, *made);
  thread_stream().wait();
  known = made;
  return made;
}

std::string PackedWeights::form(const dnnl::memory::desc& as, const dnnl::memory::desc& to) {
  std::string text = "onednn";
  for (const auto* layout : {&as, &to}) {
    const dnnl_memory_desc_t& d = layout->data;
    if (d.format_kind != dnnl_blocked || d.extra.flags != 0) return {};
    const auto& b = d.format_desc.blocking;
    const auto list = [](const auto* from, int count) { return fmt::format("{}", fmt::join(from, from + count, ",")); };
    text += fmt::format(" {} [{}] [{}] [{}]+{} [{}:{}]", static_cast<int>(d.data_type), list(d.dims, d.ndims), list(d.padded_dims, d.ndims),
                        list(b.strides, d.ndims), d.offset0, list(b.inner_idxs, b.inner_nblks), list(b.inner_blks, b.inner_nblks));
  }
  return text;
}

Packing PackedWeights::packing(int slot, std::int64_t offset_bytes, const dnnl::memory::desc& as, const dnnl::memory::desc& to, int threads) {
  const dnnl::reorder::primitive_desc described(engine(), as, engine(), to);
  const auto pack = [=, reorder = dnnl::reorder(described)](const void* weight, void* packed) {
    const ThreadScope scope(threads);
    auto* from = const_cast<std::byte*>(static_cast<const std::byte*>(weight) + offset_bytes);
    dnnl::memory source(as, engine(), from), target(to, engine(), packed);
    reorder.execute(thread_stream(), source, target);
    thread_stream().wait();
  };
  return {slot, to.get_size(), pack, offset_bytes, form(as, to)};
}

Argument weights_argument(const StepSpec& spec, const OperandRef& w, const dnnl::memory::desc& as, const dnnl::memory::desc& to, PackedWeights& weights,
                          std::optional<Packing>& streamed) {
  Argument argument{DNNL_ARG_WEIGHTS, to, w};
  const auto offset = w.offset * static_cast<std::int64_t>(item_size(w.dtype));
  if (w.slot < spec.first_streamed_slot) {
    const auto* from = static_cast<const std::byte*>(spec.fixed[static_cast<std::size_t>(w.slot)]) + offset;
    const auto* stored = spec.stored != nullptr && as != to ? spec.stored->find(from, PackedWeights::form(as, to), to.get_size()) : nullptr;
    argument.fixed = stored != nullptr ? std::make_shared<const dnnl::memory>(to, engine(), const_cast<std::byte*>(stored)) : weights.pack(from, as, to);
  } else if (as != to) {
    streamed = PackedWeights::packing(w.slot, offset, as, to, spec.threads);
    argument.operand.offset = 0;
  }
  return argument;
}

// ---- steps ----

namespace {

class PrimitiveStep final : public device::BindableStep {
 public:
  PrimitiveStep(const dnnl::primitive& primitive, std::vector<Argument> arguments, const dnnl::memory::desc& scratchpad, int threads,
                const std::optional<CopyBefore>& copy)
      : primitive_(primitive), arguments_(std::move(arguments)), scratchpad_(scratchpad), threads_(threads), copy_(copy) {
    idle_.push_back(make_table());
  }

  void run(void* const* bindings) const override {
    std::unique_ptr<Table> table = take();
    fill(*table, bindings);
    execute(*table);
    give_back(std::move(table));
  }
  [[nodiscard]] std::unique_ptr<device::BoundStep> make_bound() const override { return std::make_unique<Bound>(*this); }
  [[nodiscard]] std::size_t scratch_bytes() const override { return scratchpad_.get_size(); }

 private:
  struct Table {
    std::vector<dnnl::memory> memories;
    std::vector<dnnl_exec_arg_t> arguments;
    const std::byte* copy_from = nullptr;
    std::byte* copy_to = nullptr;
  };

  /// With a table of its own, filled in once.
  class Bound final : public device::BoundStep {
   public:
    explicit Bound(const PrimitiveStep& step) : step_(step), table_(step.make_table()) {}
    void bind(void* const* bindings) override { step_.fill(*table_, bindings); }
    void run() override { step_.execute(*table_); }

   private:
    const PrimitiveStep& step_;
    std::unique_ptr<Table> table_;
  };

  void fill(Table& table, void* const* bindings) const {
    if (copy_) {
      table.copy_from = copy_->from.at(bindings);
      table.copy_to = copy_->to.at(bindings);
    }
    for (std::size_t i = 0; i < arguments_.size(); ++i)
      if (arguments_[i].fixed == nullptr) table.memories[i].set_data_handle(arguments_[i].operand.at(bindings));
    if (scratchpad_.get_size() > 0) table.memories.back().set_data_handle(bindings[scratch_slot()]);
  }
  void copy(const Table& table) const {
    const std::int64_t bytes = copy_->to.numel() * static_cast<std::int64_t>(item_size(copy_->to.dtype));
    parallel_for(threads_, bytes, 1 << 17, [&](std::int64_t begin, std::int64_t end, int) {
      std::memcpy(table.copy_to + begin, table.copy_from + begin, static_cast<std::size_t>(end - begin));
    });
  }
  void execute(const Table& table) const {
    if (table.copy_from != table.copy_to) copy(table);
    const ThreadScope scope(threads_);
    dnnl::stream& stream = thread_stream();
    const dnnl_status_t status = dnnl_primitive_execute(primitive_.get(), stream.get(), static_cast<int>(table.arguments.size()), table.arguments.data());
    REPRISE_CHECK(status == dnnl_success, Error, "[kernels/cpu] a primitive of oneDNN failed (status {})", static_cast<int>(status));
    stream.wait();
  }
  [[nodiscard]] std::unique_ptr<Table> make_table() const {
    auto table = std::make_unique<Table>();
    for (const Argument& a : arguments_) table->memories.push_back(a.fixed != nullptr ? *a.fixed : dnnl::memory(a.layout, engine(), nullptr));
    for (std::size_t i = 0; i < arguments_.size(); ++i) table->arguments.push_back({arguments_[i].index, table->memories[i].get()});
    if (scratchpad_.get_size() > 0) {
      table->memories.emplace_back(scratchpad_, engine(), nullptr);
      table->arguments.push_back({DNNL_ARG_SCRATCHPAD, table->memories.back().get()});
    }
    return table;
  }
  [[nodiscard]] std::unique_ptr<Table> take() const {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto table = std::move(idle_.back());
        idle_.pop_back();
        return table;
      }
    }
    return make_table();
  }
  void give_back(std::unique_ptr<Table> table) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(table));
  }

  dnnl::primitive primitive_;
  std::vector<Argument> arguments_;
  dnnl::memory::desc scratchpad_;
  int threads_;
  std::optional<CopyBefore> copy_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Table>> idle_;  // as many as ever ran at once
};

}  // namespace

StepPtr make_primitive_step(const dnnl::primitive& primitive, std::vector<Argument> arguments, const dnnl::memory::desc& scratchpad, int threads,
                            const std::optional<CopyBefore>& copy) {
  return std::make_unique<PrimitiveStep>(primitive, std::move(arguments), scratchpad, threads, copy);
}

}  // namespace reprise::kernels::cpu
