#include "kernels/cuda/ahead.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "device/cuda/compiler.h"
#include "device/cuda/strided_copy.h"
#include "kernels/cuda/candidates.h"
#include "kernels/cuda/program_sections.h"
#include "plan/sections.h"

namespace reprise::kernels::cuda {
namespace {

using device::cuda::CompiledProgram;
using device::cuda::Operation;
using device::cuda::ProgramSource;

constexpr const char* kChoices = "choices.txt";

bool is_contraction(const StepSpec& spec) { return spec.op == core::Op::matmul || spec.op == core::Op::conv; }

bool is_of_library(std::string_view name) { return name.starts_with("cudnn") || name.starts_with("cublaslt"); }

void add_once(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

class CudaAheadOfTime final : public AheadOfTime {
 public:
  /// Steps are made on a GPU that is not there and is like that of `info`. `card`: where it is there after all.
  explicit CudaAheadOfTime(device::cuda::GpuInfo info, std::shared_ptr<Gpu> card = nullptr) : model_(Gpu::offline(std::move(info))), card_(std::move(card)) {
    device::cuda::request_strided_copies(*model_);  // calls copy inputs that are not contiguous
    note(model_->programs().take_requests());
    if (card_ != nullptr) choices().add(card_->service<Choices>().text());
  }

  [[nodiscard]] Choices& choices() { return model_->service<Choices>(); }
  [[nodiscard]] std::string architecture() const override { return model_->info().architecture; }

  void add(const StepSpec& spec) override { (void)note(spec); }

  StepKernels describe(const StepSpec& spec) override {
    const Noted noted = note(spec);
    StepKernels kernels;
    if (noted.choice) kernels.microseconds = noted.choice->microseconds;
    if (is_contraction(spec)) kernels.names = {noted.choice ? noted.choice->name : likely(spec)};
    const bool library = !kernels.names.empty() && is_of_library(kernels.names[0]);
    for (const ProgramSource& request : noted.requests)
      if (!library) add_once(kernels.names, request.entry);
    if (kernels.names.empty()) name_operations(*noted.step, kernels.names);
    return kernels;
  }

  [[nodiscard]] std::vector<plan::Section> sections(const std::function<void(std::size_t done, std::size_t total)>& progress) override {
    StoredPrograms stored{.gpu = model_->info(), .texts = device::cuda::texts_key(), .programs = {}};
    std::vector<ProgramSource> missing;
    for (const ProgramSource& source : sources_) {
      if (auto known = card_ != nullptr ? card_->programs().find(source) : std::nullopt)
        stored.programs.push_back({source, device::cuda::program_key(source, architecture()), std::move(*known)});
      else
        missing.push_back(source);
    }
    auto compiled = compile(missing, progress);
    for (std::size_t i = 0; i < compiled.size(); ++i)
      stored.programs.push_back({missing[i], device::cuda::program_key(missing[i], architecture()), std::move(compiled[i])});
    auto sections = to_sections(stored);
    if (const std::string text = used_.text(); !text.empty()) sections.push_back(plan::text_section(kChoices, text));
    return sections;
  }

 private:
  struct Noted {
    StepPtr step;
    std::vector<ProgramSource> requests;
    std::optional<Choice> choice;
  };

  Noted note(const StepSpec& spec) {
    Noted noted;
    noted.step = make_cuda_step(*model_, spec);
    noted.requests = model_->programs().take_requests();
    if (!is_contraction(spec)) {
      note(noted.requests);
      return noted;
    }
    const std::string key = choice_key(*model_, spec);
    noted.choice = choices().find(key);
    if (noted.choice) used_.set(key, *noted.choice);
    // Where a library does the work our own kernel is there for machines that lack it; but a GPU that is here has shown what it needs.
    note(noted.requests, card_ != nullptr && is_of_library(noted.choice ? noted.choice->name : likely_contraction(spec)));
    request_companions(*model_, spec);
    note(model_->programs().take_requests());
    return noted;
  }

  void note(const std::vector<ProgramSource>& requests, bool only_compiled = false) {
    for (const ProgramSource& request : requests) {
      if (only_compiled && !card_->programs().find(request)) continue;
      if (keys_.insert(device::cuda::program_key(request, architecture())).second) sources_.push_back(request);
    }
  }

  [[nodiscard]] std::string likely(const StepSpec& spec) const {
    if (card_ != nullptr) {
      const auto names = contraction_candidates(*card_, spec, 1);
      return names.empty() ? "nothing" : names[0];
    }
    return likely_contraction(spec);
  }

  /// Of a step without programs: what nvcc compiled, and the driver's own work.
  static void name_operations(const device::Step& step, std::vector<std::string>& names) {
    const auto* described = dynamic_cast<const device::cuda::CudaStep*>(&step);
    if (described == nullptr) {
      names.emplace_back("host");
      return;
    }
    for (const Operation& operation : describe_offline(*described)) {
      if (std::holds_alternative<device::cuda::MemoryCopy>(operation.work)) add_once(names, "copy");
      if (std::holds_alternative<device::cuda::MemoryFill>(operation.work)) add_once(names, "fill");
      if (std::holds_alternative<device::cuda::LibraryCall>(operation.work)) add_once(names, "cub");
    }
  }

  [[nodiscard]] std::vector<CompiledProgram> compile(const std::vector<ProgramSource>& sources, const std::function<void(std::size_t, std::size_t)>& progress) {
    if (sources.empty()) return {};
    const auto done = [&](std::size_t n) {
      if (progress) progress(n, sources.size());
    };
    if (card_ == nullptr) return device::cuda::compile_programs(sources, architecture(), done);
    try {
      return device::cuda::compile_programs(sources, architecture(), done);
    } catch (const DeviceError&) {
      return {};  // there is no NVRTC here: what the module ran with is stored
    }
  }

  std::shared_ptr<Gpu> model_, card_;
  Choices used_{*model_};
  std::set<std::string> keys_;
  std::vector<ProgramSource> sources_;
};

}  // namespace

std::unique_ptr<AheadOfTime> make_ahead_of_time(const std::string& architecture) {
  return std::make_unique<CudaAheadOfTime>(device::cuda::usual_gpu(architecture));
}

std::unique_ptr<AheadOfTime> make_ahead_of_time(std::span<const plan::Section> sections) {
  const auto stored = read_programs(sections);
  REPRISE_CHECK(stored.has_value(), InvalidArgument, "[kernels/ahead] the module was not compiled for an architecture, and holds no kernels");
  auto made = std::make_unique<CudaAheadOfTime>(stored->gpu);
  made->choices().add(plan::section_text(sections, kChoices));
  return made;
}

std::unique_ptr<AheadOfTime> make_ahead_of_time(std::shared_ptr<Gpu> gpu) {
  auto info = gpu->info();
  return std::make_unique<CudaAheadOfTime>(std::move(info), std::move(gpu));
}

void load_sections(Gpu& gpu, std::span<const plan::Section> sections, bool allow_recompile) {
  gpu.service<Choices>().add(plan::section_text(sections, kChoices));
  const auto stored = read_programs(sections);
  if (!stored) return;
  const std::string &made_for = stored->gpu.architecture, &here = gpu.info().architecture;
  const bool same_texts = stored->texts == device::cuda::texts_key();
  if (same_texts && made_for == here) {
    for (const StoredProgram& p : stored->programs) gpu.programs().add(p.key, p.program);
    return;
  }
  REPRISE_CHECK(allow_recompile, DeviceError, "[run/load] the module's kernels must be recompiled, which is not allowed (got kernels for {}{}, want {})",
                made_for, same_texts ? "" : " of another version of Reprise", here);
  if (!same_texts) return;  // the steps know what they need
  for (const StoredProgram& p : stored->programs) {
    try {
      (void)gpu.programs().request(p.source);
    } catch (const DeviceError& error) {
      REPRISE_FAIL(DeviceError, "[run/load] the module's kernels cannot be recompiled for this GPU (got kernels for {}, want {}): {}", made_for, here,
                   error.what());
    }
  }
}

StepMaker compiling_step_maker(const std::string& architecture) {
  return [gpu = Gpu::offline(device::cuda::usual_gpu(architecture))](const StepSpec& spec) {
    StepPtr step = make_cuda_step(*gpu, spec);
    for (const ProgramSource& source : gpu->programs().take_requests()) (void)device::cuda::compile_program(source, gpu->info().architecture);
    return step;
  };
}

}  // namespace reprise::kernels::cuda
