#include "kernels/cpu/step_maker.h"

#include <fmt/format.h>

#include "kernels/cpu/candidates.h"
#include "kernels/cpu/choices.h"
#include "kernels/cpu/own.h"
#include "kernels/cpu/weights.h"
#include "kernels/reference/factories.h"
#include "plan/sections.h"
#include "reprise/device.h"

namespace reprise::kernels::cpu {
namespace {

constexpr const char* kSection = "cpu_choices.txt";

bool is_contraction(const StepSpec& spec) { return spec.op == core::Op::conv || spec.op == core::Op::matmul; }

class Kernels {
 public:
  struct Made {
    MadeStep step;
    std::optional<Choice> choice;  // that it was made by
  };
  Made make(const StepSpec& spec) {
    if (!is_contraction(spec)) return {make_other(spec), std::nullopt};
    // A choice may name what this build, or the instruction set that is allowed, does not have.
    if (const auto noted = find(spec)) {
      if (MadeStep step = contractions_.make(spec, noted->choice.name); step.step) return {std::move(step), noted->choice};
    }
    return {contractions_.make(spec), std::nullopt};
  }

  struct Noted {
    std::string key;
    Choice choice;
  };
  [[nodiscard]] std::optional<Noted> find(const StepSpec& spec) const {
    const Choices& choices = machine_choices();
    if (!is_contraction(spec) || choices.empty()) return std::nullopt;
    std::string key = choice_key(spec, version_);
    const auto choice = choices.find(key);
    return choice ? std::optional(Noted{std::move(key), *choice}) : std::nullopt;
  }

 private:
  MadeStep make_other(const StepSpec& spec) {
    if (StepPtr step = make_own(spec)) return {std::move(step), {"cpu"}};
    Library* library = contractions_.library();
    if (StepPtr step = library != nullptr ? library->make_other(spec) : nullptr) return {std::move(step), {std::string(library->name())}};
    return {make_reference_step(spec), {"reference"}};
  }

  Contractions contractions_;
  const std::string version_ = contractions_.version();
};

class CpuAheadOfTime final : public AheadOfTime {
 public:
  [[nodiscard]] std::string architecture() const override { return std::string(cpu_isa()); }
  void add(const StepSpec& spec) override {
    if (const auto noted = kernels_.find(spec)) used_.set(noted->key, noted->choice);
  }
  StepKernels describe(const StepSpec& spec) override {
    const auto made = kernels_.make(spec);
    return {made.step.kernels, made.choice ? std::optional(made.choice->microseconds) : std::nullopt};
  }
  [[nodiscard]] std::vector<plan::Section> sections(const std::function<void(std::size_t done, std::size_t total)>&) override {
    if (used_.empty()) return {};
    return {plan::text_section(kSection, used_.text())};
  }

 private:
  Kernels kernels_;
  Choices used_;
};

}  // namespace

StepMaker step_maker() {
  return [kernels = std::make_shared<Kernels>()](const StepSpec& spec) { return std::move(kernels->make(spec).step.step); };
}

std::unique_ptr<AheadOfTime> make_ahead_of_time() { return std::make_unique<CpuAheadOfTime>(); }

std::string packing_tag() {
  static const std::string library = Contractions().version();
  return fmt::format("cpu {}, {}, {}", kPackingFormats, cpu_isa(), library);
}

std::vector<Packing> weight_forms(const StepMaker& make, StepSpec spec) {
  std::vector<Packing> forms;
  if (!is_contraction(spec)) return forms;
  spec.first_streamed_slot = 0;  // as if all were streamed: then kernels tell what they want
  spec.packings = &forms;
  make(spec);
  return forms;
}

void load_sections(std::span<const plan::Section> sections) { machine_choices().add(plan::section_text(sections, kSection), kKeyBegin); }

}  // namespace reprise::kernels::cpu
