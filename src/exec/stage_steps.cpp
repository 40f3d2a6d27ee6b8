#include "exec/stage_steps.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/pages.h"
#include "device/fetch.h"

namespace reprise::exec {
namespace {

using device::FetchStep;

/// Pages of a file's mapping; none where a weight is not mapped.
struct Pages {
  const void* begin = nullptr;
  std::size_t bytes = 0;
};

Pages pages_of(const Executable& executable, plan::BufferId id) {
  const auto& buffer = executable.plan().buffers[static_cast<std::size_t>(id)];
  const auto& weight = executable.plan().weights[static_cast<std::size_t>(buffer.index)];
  return weight.mapped ? Pages{weight.data.data(), weight.data.nbytes()} : Pages{};
}

/// On the host a copy may bring a weight into another form, and cares for the pages of the file.
class HostFetch final : public FetchStep {
 public:
  HostFetch(const WeightCopy& copy, Pages pages) : FetchStep(copy.slot, copy.weight, copy.bytes), pack_(copy.pack), pages_(pages) {}
  void run(void* const* bindings) const override {
    if (pack_)
      pack_(bindings[from()], bindings[to()]);
    else
      FetchStep::run(bindings);
    base::drop_pages(pages_.begin, pages_.bytes);
    base::expect_pages(next_.begin, next_.bytes);
  }
  [[nodiscard]] const Pages& pages() const { return pages_; }
  void expect(const Pages& next) { next_ = next; }

 private:
  std::function<void(const void*, void*)> pack_;
  Pages pages_, next_;
};

/// Pages are dropped behind a command that read rows of a weight where it lies, or a stored form; before a command, those that a later one reads are expected.
class PagesStep final : public device::Step {
 public:
  using Advise = void (*)(const void*, std::size_t) noexcept;
  PagesStep(Advise advise, Pages pages) : advise_(advise), pages_(pages) {}
  void run(void* const*) const override { advise_(pages_.begin, pages_.bytes); }

 private:
  Advise advise_;
  Pages pages_;
};

class Arranger {
 public:
  Arranger(const Executable& executable, const WeightSet& weights, std::vector<BuiltStep> built)
      : executable_(executable),
        weights_(weights),
        built_(std::move(built)),
        slots_(static_cast<std::size_t>(std::max(weights.slots, 1))),
        on_host_(executable.device()->host_visible()) {
    for (std::size_t i = 0; i < built_.size(); ++i) {
      const auto& copies = built_[i].copies;
      if (std::ranges::any_of(copies, [](const WeightCopy& copy) { return copy.stored == nullptr; })) readers_.push_back(i);
      for (const auto& copy : copies)
        if (copy.stored != nullptr) stored_.push_back({copy.stored, copy.bytes});
    }
  }

  StageSteps arrange(const plan::Command* command) {
    for (const std::size_t reader : readers_) slot_bytes_ = std::max(slot_bytes_, bytes_of(built_[reader]));
    result_.slot_bytes = std::min(slots_, readers_.size()) * slot_bytes_;
    for (std::size_t k = 0; k < std::min(slots_, readers_.size()); ++k) copy_for(k);
    for (std::size_t i = 0, k = 0; i < built_.size(); ++i, ++command) {
      while (command->op == core::Op::item) ++command;
      const std::size_t first = next_stored_;
      find_stored(built_[i]);
      push(std::move(built_[i].step), command);
      for (std::size_t s = first; s < next_stored_; ++s) push_pages(base::drop_pages, stored_[s]);
      if (on_host_) drop_behind(*command);
      if (k == readers_.size() || readers_[k] != i) continue;
      if (k + slots_ < readers_.size()) copy_for(k + slots_);
      ++k;
    }
    return std::move(result_);
  }

 private:
  void push(std::unique_ptr<device::Step> step, const plan::Command* command) {
    result_.steps.push_back(std::move(step));
    result_.commands.push_back(command);
  }

  void push_pages(PagesStep::Advise advise, const Pages& pages) { push(std::make_unique<PagesStep>(advise, pages), nullptr); }

  static std::size_t bytes_of(const BuiltStep& step) {
    std::size_t bytes = 0;
    for (const auto& copy : step.copies) bytes += copy.stored == nullptr ? room_for_weight(copy.bytes) : 0;
    return bytes;
  }

  void copy_for(std::size_t k) {
    std::size_t offset = k % slots_ * slot_bytes_;
    for (const auto& copy : built_[readers_[k]].copies) {
      if (copy.stored != nullptr) continue;
      result_.places.push_back({copy.slot, offset});
      result_.copied_bytes += copy.bytes;
      push(fetch(copy), nullptr);
      offset += room_for_weight(copy.bytes);
    }
  }

  /// Of a command: the pages that the one behind it reads may come while it runs.
  void find_stored(const BuiltStep& step) {
    for (const auto& copy : step.copies) {
      if (copy.stored == nullptr) continue;
      result_.places.push_back({.slot = copy.slot, .stored = copy.stored});
      result_.copied_bytes += copy.bytes;
      if (++next_stored_ < stored_.size()) push_pages(base::expect_pages, stored_[next_stored_]);
    }
  }

  std::unique_ptr<device::Step> fetch(const WeightCopy& copy) {
    if (!on_host_) return std::make_unique<FetchStep>(copy.slot, copy.weight, copy.bytes);
    auto step = std::make_unique<HostFetch>(copy, pages_of(executable_, copy.weight));
    if (last_ != nullptr) last_->expect(step->pages());
    last_ = step.get();
    return step;
  }

  void drop_behind(const plan::Command& command) {
    for (const auto& operand : command.inputs)
      if (weights_.dropped[static_cast<std::size_t>(operand.buffer)]) push_pages(base::drop_pages, pages_of(executable_, operand.buffer));
  }

  const Executable& executable_;
  const WeightSet& weights_;
  std::vector<BuiltStep> built_;
  std::size_t slots_;
  bool on_host_;
  std::vector<std::size_t> readers_;  // steps with copies
  std::vector<Pages> stored_;         // forms that are read where they lie, in order
  std::size_t next_stored_ = 0;
  std::size_t slot_bytes_ = 0;
  StageSteps result_;
  HostFetch* last_ = nullptr;
};

}  // namespace

StageSteps arrange(const Executable& executable, const WeightSet& weights, const plan::Command* begin, std::vector<BuiltStep> built) {
  return Arranger(executable, weights, std::move(built)).arrange(begin);
}

}  // namespace reprise::exec
