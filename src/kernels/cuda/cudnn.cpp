#include "kernels/cuda/cudnn.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "kernels/cuda/cudnn_graph.h"
#include "kernels/packed.h"

namespace reprise::kernels::cuda {
namespace {

constexpr std::int64_t kMaxWorkspaceBytes = std::int64_t{128} << 20;

/// An engine of the library with its settings. As text: "f12:2=3:6=0" (fused, engine 12, knob 2 at 3 …) or "p12:…" (plain).
struct EngineChoice {
  bool fused = true;
  std::int64_t engine = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> knobs;
};

std::string to_text(const EngineChoice& choice) {
  std::string text = fmt::format("{}{}", choice.fused ? 'f' : 'p', choice.engine);
  for (const auto& [knob, value] : choice.knobs) text += fmt::format(":{}={}", knob, value);
  return text;
}

std::optional<EngineChoice> parse(std::string_view text) {
  EngineChoice choice;
  choice.fused = text.starts_with('f');
  if (text.empty()) return std::nullopt;
  const char *at = text.data() + 1, *end = text.data() + text.size();
  const auto number = [&](std::int64_t& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    at = next;
    return error == std::errc();
  };
  if (!number(choice.engine)) return std::nullopt;
  while (at < end) {
    std::int64_t knob = 0, value = 0;
    if (*at++ != ':' || !number(knob) || at == end || *at++ != '=' || !number(value)) return std::nullopt;
    choice.knobs.emplace_back(knob, value);
  }
  return choice;
}

bool has_note(const CudnnDescriptor& engine, std::initializer_list<cudnnBackendNumericalNote_t> unwanted) {
  constexpr std::size_t kMostNotes = 32;
  const auto notes = engine.values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, kMostNotes);
  return std::any_of(notes.begin(), notes.end(), [&](auto note) { return std::find(unwanted.begin(), unwanted.end(), note) != unwanted.end(); });
}

/// Computes what is asked: products exact to the inputs' precision, sums in f32, the same each time.
bool is_faithful(const CudnnDescriptor& engine, DType dtype, bool allow_tf32) {
  if (has_note(engine, {CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_FFT, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
                        CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}))
    return false;
  return dtype != DType::f32 || allow_tf32 || !has_note(engine, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS});
}

/// A graph with an engine chosen, ready to run.
class Plan {
 public:
  Plan(CudnnLibrary& library, std::shared_ptr<const CudnnGraph> graph, const EngineChoice& choice)
      : library_(library), graph_(std::move(graph)), plan_(library, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    CudnnDescriptor& engine = keep(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph_->descriptor()).set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine).finalize();
    const cudnnBackendDescriptor_t engine_raw = engine.get();
    std::vector<cudnnBackendDescriptor_t> knobs;
    for (const auto& [knob, value] : choice.knobs) {
      CudnnDescriptor& k = keep(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
      k.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(knob)).set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value).finalize();
      knobs.push_back(k.get());
    }
    CudnnDescriptor& config = keep(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine_raw);
    if (!knobs.empty()) config.set_many<cudnnBackendDescriptor_t>(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, knobs);
    config.finalize();
    const CudnnLibrary::Handle handle(library_);
    plan_.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle.get()).set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config).finalize();
    workspace_bytes_ = plan_.value<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
    REPRISE_CHECK(workspace_bytes_ <= kMaxWorkspaceBytes, DeviceError, "[kernels/conv] a plan wants too large a workspace (got {}, want at most {})",
                  workspace_bytes_, kMaxWorkspaceBytes);
  }

  [[nodiscard]] std::int64_t workspace_bytes() const { return workspace_bytes_; }

  /// `operands`: by the order of the graph's arguments.
  void enqueue(CUstream stream, void* const* bindings, const std::vector<OperandRef>& operands, int scratch_slot) const {
    std::vector<void*> pointers;
    std::vector<std::int64_t> ids;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      pointers.push_back(operands[i].at(bindings));
      ids.push_back(graph_->arguments()[i]);
    }
    for (const auto& constant : graph_->constants()) {
      pointers.push_back(&constant->value);
      ids.push_back(constant->id);
    }
    void* workspace = workspace_bytes_ > 0 ? bindings[scratch_slot] : nullptr;
    CudnnDescriptor pack(library_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set_pointers(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
        .set_many<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids)
        .set_pointers(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, std::span<void* const>(&workspace, 1))
        .finalize();
    const CudnnLibrary::Handle handle(library_);
    library_.check(library_.SetStream(handle.get(), reinterpret_cast<cudaStream_t>(stream)), "cudnnSetStream");
    library_.check(library_.BackendExecute(handle.get(), plan_.get(), pack.get()), "cudnnBackendExecute");
  }

 private:
  CudnnDescriptor& keep(cudnnBackendDescriptorType_t type) {
    kept_.push_back(std::make_unique<CudnnDescriptor>(library_, type));
    return *kept_.back();
  }

  CudnnLibrary& library_;
  std::shared_ptr<const CudnnGraph> graph_;
  std::vector<std::unique_ptr<CudnnDescriptor>> kept_;
  CudnnDescriptor plan_;
  std::int64_t workspace_bytes_ = 0;
};

void append_operand(std::string& text, const OperandRef& operand) {
  const std::int64_t bytes = operand.offset * static_cast<std::int64_t>(item_size(operand.dtype));
  text += fmt::format("{}[{}|{}]@{};", name(operand.dtype), fmt::join(operand.shape(), ","),
                      fmt::join(operand.strides.begin(), operand.strides.begin() + operand.rank, ","),
                      bytes % static_cast<std::int64_t>(device::cuda::kSlotAlignment));
}

/// Everything that a plan depends on but its addresses.
std::string signature(const SplitSpec& conv) {
  std::string text;
  for (const OperandRef& operand : conv.spec.inputs) append_operand(text, operand);
  for (const OperandRef& operand : conv.epilogue.operands) append_operand(text, operand);
  append_operand(text, conv.spec.outputs[0]);
  const BoundAttrs& attrs = *conv.spec.attrs;
  for (const char* key : {"stride", "padding", "dilation"}) text += fmt::format("{};", fmt::join(attrs.ints(key), ","));
  text += fmt::format("{}{}{}", attrs.integer("groups"), attrs.flag("transposed", false) ? 't' : 'f', attrs.flag("allow_tf32", false) ? 't' : 'f');
  return conv.epilogue ? text + conv.epilogue.program->str() : text;
}

/// Graphs and plans by what they compute, so that equal layers of a network share them. Thread safe.
class PlanCache {
 public:
  explicit PlanCache(Gpu& gpu) : library_(gpu.service<CudnnLibrary>()) {}

  CudnnLibrary& library() { return library_; }

  /// Null: cuDNN's graphs cannot say this.
  std::shared_ptr<const CudnnGraph> graph(const SplitSpec& conv, const std::string& key, bool fused) {
    return find(graphs_, key + (fused ? "f" : "p"), [&] { return CudnnGraph::make(library_, conv, fused); });
  }
  /// Null: it cannot be built.
  std::shared_ptr<const Plan> plan(const SplitSpec& conv, const std::string& key, const EngineChoice& choice) {
    const auto graph_of_plan = graph(conv, key, choice.fused);
    if (!graph_of_plan) return nullptr;
    return find(plans_, key + to_text(choice), [&] { return std::make_shared<const Plan>(library_, graph_of_plan, choice); });
  }

 private:
  // What cuDNN refuses counts as nothing. Two threads that want the same may both make it.
  template <class T, class Make>
  std::shared_ptr<const T> find(std::unordered_map<std::string, std::shared_ptr<const T>>& known, const std::string& key, const Make& make) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = known.find(key); found != known.end()) return found->second;
    }
    std::shared_ptr<const T> made;
    try {
      made = make();
    } catch (const DeviceError&) {
    }
    const std::lock_guard lock(mutex_);
    return known.emplace(key, std::move(made)).first->second;
  }

  CudnnLibrary& library_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const CudnnGraph>> graphs_;
  std::unordered_map<std::string, std::shared_ptr<const Plan>> plans_;
};

EngineChoice choice_of(const CudnnDescriptor& config, const CudnnDescriptor& engine, bool fused) {
  EngineChoice choice{.fused = fused, .engine = engine.value<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX), .knobs = {}};
  constexpr std::int64_t kMostKnobs = 64;
  for (const CudnnDescriptor& knob : config.descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, kMostKnobs)) {
    choice.knobs.emplace_back(knob.value<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                              knob.value<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  }
  std::sort(choice.knobs.begin(), choice.knobs.end());
  return choice;
}

/// Engines that the library's heuristics name for a graph.
std::vector<EngineChoice> proposals(CudnnLibrary& library, const CudnnGraph& graph, const SplitSpec& conv, bool fused, int most) {
  std::vector<EngineChoice> all;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    if (static_cast<int>(all.size()) >= most) break;
    try {
      CudnnDescriptor heuristics(library, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
      heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.descriptor()).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode).finalize();
      const std::int64_t found = heuristics.count(CUDNN_ATTR_ENGINEHEUR_RESULTS);
      for (const CudnnDescriptor& config : heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, found)) {
        const auto engines = config.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
        const DType dtype = conv.spec.outputs[0].dtype;
        if (engines.empty() || !is_faithful(engines[0], dtype, conv.spec.attrs->flag("allow_tf32", false))) continue;
        all.push_back(choice_of(config, engines[0], fused));
      }
    } catch (const DeviceError&) {  // no engine knows this graph
    }
  }
  if (static_cast<int>(all.size()) > most) all.resize(static_cast<std::size_t>(most));
  return all;
}

std::vector<EngineChoice> all_proposals(PlanCache& cache, const SplitSpec& conv, const std::string& key, int most) {
  const bool has_more = conv.spec.inputs.size() > 2 || conv.epilogue;
  std::vector<EngineChoice> all;
  for (const bool fused : {true, false}) {
    if (fused && !has_more) continue;
    if (const auto graph = cache.graph(conv, key, fused)) {
      const auto more = proposals(cache.library(), *graph, conv, fused, most - static_cast<int>(all.size()));
      all.insert(all.end(), more.begin(), more.end());
    }
    if (static_cast<int>(all.size()) >= most) break;
  }
  return all;
}

/// The bias as the first part of an epilogue.
Epilogue with_bias(const SplitSpec& conv) {
  if (conv.spec.inputs.size() < 3) return conv.epilogue;
  const OperandRef& y = conv.spec.outputs[0];
  OperandRef bias = y;
  bias.slot = conv.spec.inputs[2].slot;
  bias.offset = conv.spec.inputs[2].offset;
  bias.strides.fill(0);
  bias.strides[1] = conv.spec.inputs[2].strides[0];
  const int operands = static_cast<int>(conv.epilogue.operands.size());
  core::ScalarProgram program;
  program.inputs.push_back(y.dtype);
  for (const OperandRef& operand : conv.epilogue.operands) program.inputs.push_back(operand.dtype);
  program.inputs.push_back(y.dtype);
  const auto add = [&](core::Instr instr) {
    program.code.push_back(instr);
    return static_cast<int>(program.code.size()) - 1;
  };
  using core::ScalarOp;
  const auto input = [&](int which) {
    const int raw = add({.op = ScalarOp::input, .type = y.dtype, .imm_int = which});
    return add({.op = ScalarOp::cast, .type = DType::f32, .a = raw});
  };
  const int first = input(0), second = input(operands + 1), sum = add({.op = ScalarOp::add, .type = DType::f32, .a = first, .b = second});
  const int rounded = add({.op = ScalarOp::cast, .type = y.dtype, .a = sum});
  Epilogue e = conv.epilogue;
  e.operands.push_back(bias);
  e.form.activation = Activation::other;
  int result = rounded;
  if (conv.epilogue) {
    std::vector<int> moved;
    for (core::Instr i : conv.epilogue.program->code) {
      for (int* operand : {&i.a, &i.b, &i.c}) {
        if (*operand >= 0) *operand = moved[static_cast<std::size_t>(*operand)];
      }
      moved.push_back(i.op == ScalarOp::input && i.imm_int == 0 ? rounded : add(i));
    }
    result = moved[static_cast<std::size_t>(conv.epilogue.program->outputs[0])];
  }
  program.outputs = {result};
  e.program = std::make_shared<const core::ScalarProgram>(std::move(program));
  return e;
}

std::vector<OperandRef> operands_for(const SplitSpec& conv, const CudnnGraph& graph) {
  std::vector<OperandRef> operands;
  for (const std::int64_t id : graph.arguments()) operands.push_back(CudnnGraph::operand(conv, id));
  return operands;
}

StepPtr make_plan_step(const SplitSpec& conv, std::shared_ptr<const Plan> plan, const CudnnGraph& graph) {
  const std::vector<OperandRef> operands = operands_for(conv, graph);
  const std::int64_t workspace = plan->workspace_bytes();
  const int y_slot = conv.spec.outputs[0].slot;
  return make_step(static_cast<std::size_t>(workspace), [plan = std::move(plan), operands, workspace, y_slot](Operations& operations, int scratch_slot) {
    std::vector<Access> accesses;
    for (const OperandRef& operand : operands) accesses.push_back(access(operand, operand.slot == y_slot));
    if (workspace > 0) accesses.push_back({scratch_slot, 0, workspace, true});
    operations.add(device::cuda::LibraryCall{[plan, operands, scratch_slot](CUstream stream, void* const* bindings) {
                     plan->enqueue(stream, bindings, operands, scratch_slot);
                   }},
                   std::move(accesses));
  });
}

}  // namespace

// With other dtypes and layouts some of its engines were seen to give wrong results.
bool cudnn_takes(const SplitSpec& conv) {
  const OperandRef& y = conv.spec.outputs[0];
  if (y.dtype != DType::f16 && y.dtype != DType::bf16 && y.dtype != DType::f32) return false;
  std::vector<OperandRef> operands(conv.epilogue.operands);
  operands.push_back(conv.spec.inputs[0]);
  operands.push_back(y);
  const auto all_packed = [&](bool channels_last) {
    return std::all_of(operands.begin(), operands.end(), [&](const OperandRef& o) { return is_packed(o, channels_last); });
  };
  const OperandRef& w = conv.spec.inputs[1];
  return (all_packed(false) || all_packed(true)) && (is_packed(w, false) || is_packed(w, true));
}

StepPtr finish_plain_conv(Gpu& gpu, StepPtr plain, const SplitSpec& conv) { return followed_by(gpu, std::move(plain), with_bias(conv), conv.spec); }

std::vector<std::string> cudnn_plans(Gpu& gpu, const SplitSpec& conv, int most) {
  std::vector<std::string> names;
  if (!cudnn_takes(conv) || !gpu.service<CudnnLibrary>().available()) return names;
  const device::cuda::CurrentContext context(gpu.context());
  for (const EngineChoice& choice : all_proposals(gpu.service<PlanCache>(), conv, signature(conv), most)) names.push_back(to_text(choice));
  return names;
}

StepPtr make_cudnn_conv(Gpu& gpu, const SplitSpec& conv, const std::string& plan_name) {
  if (!cudnn_takes(conv) || !gpu.service<CudnnLibrary>().available()) return nullptr;
  const device::cuda::CurrentContext context(gpu.context());
  PlanCache& cache = gpu.service<PlanCache>();
  const std::string key = signature(conv);
  std::vector<EngineChoice> choices;
  if (const auto named = parse(plan_name))
    choices.push_back(*named);
  else
    choices = all_proposals(cache, conv, key, std::numeric_limits<int>::max());
  for (const EngineChoice& choice : choices) {
    auto plan = cache.plan(conv, key, choice);
    if (!plan) continue;
    StepPtr step = make_plan_step(conv, std::move(plan), *cache.graph(conv, key, choice.fused));
    return choice.fused ? std::move(step) : finish_plain_conv(gpu, std::move(step), conv);
  }
  return nullptr;
}

}  // namespace reprise::kernels::cuda
