#include "api/compiler/registry.h"

#include <algorithm>
#include <mutex>

#include "base/check.h"
#include "kernels/foreign.h"

namespace reprise {
namespace {

struct Process {
  std::mutex mutex;
  std::vector<Converter> converters;
};

Process& process() {
  static Process all;
  return all;
}

/// The whole schema: of one of our own ops its name will do.
std::string full_schema(const std::string& text, const ops::Registry& ours) {
  if (text.find('(') != std::string::npos) return text;
  std::string target = text.starts_with("torch.ops.") ? text.substr(10) : text;
  if (const auto colons = target.find("::"); colons != std::string::npos) target.replace(colons, 2, ".");
  if (std::count(target.begin(), target.end(), '.') == 1) target += ".default";
  const auto* entry = ours.find(target);
  REPRISE_CHECK(entry != nullptr && entry->schema.target == target, InvalidArgument,
                "[compile/converters] an op that Reprise does not know is registered by its schema (got '{}', want \"mylib::foo(Tensor x) -> Tensor\")", text);
  return entry->converter->schema;
}

void check(const Converter& converter) {
  (void)ops::parse_schema(full_schema(converter.schema, ops::Registry::builtin()));
  REPRISE_CHECK(static_cast<bool>(converter.convert), InvalidArgument, "[compile/converters] '{}' has no function", converter.schema);
}

std::string target_of(const Converter& converter) { return ops::parse_schema(full_schema(converter.schema, ops::Registry::builtin())).target; }

void index_nodes(const ir::AtenGraph& graph, api::GraphOf& out) {
  for (const auto& node : graph.nodes) {
    out[&node] = &graph;
    for (const auto& arg : node.args)
      if (const auto* nested = std::get_if<std::shared_ptr<const ir::AtenGraph>>(&arg.value)) index_nodes(**nested, out);
  }
}

/// The row, whose failures are noted and who is not asked again where it failed.
ops::Converter watched(ops::Converter row, int id, const std::shared_ptr<api::BuildFailures>& failures) {
  row.validate = [validate = row.validate, id, failures](const ir::AtenNode& node) -> std::optional<std::string> {
    if (const auto* reason = failures->find(node, id)) return *reason;
    return validate ? validate(node) : std::nullopt;
  };
  row.convert = [convert = row.convert, id, failures](ops::Context& context) {
    try {
      convert(context);
    } catch (const Error& error) {
      failures->note(context.node(), id, error.what());
      throw;
    } catch (const std::exception& error) {
      failures->note(context.node(), id, error.what());
      REPRISE_FAIL(InvalidArgument, "[ops/{}] the converter failed: {}", context.node().target, error.what());
    }
  };
  return row;
}

}  // namespace

void register_converter(Converter converter) {
  check(converter);
  const std::scoped_lock lock(process().mutex);
  process().converters.push_back(std::move(converter));
}

std::size_t unregister_converters(std::string_view target) {
  const std::scoped_lock lock(process().mutex);
  return std::erase_if(process().converters, [&](const Converter& c) { return target_of(c) == target; });
}

namespace api {

void BuildFailures::note(const ir::AtenNode& node, int converter, std::string reason) {
  failed_[{&node, converter}] = fmt::format("its converter failed: {}", reason);
}

const std::string* BuildFailures::find(const ir::AtenNode& node, int converter) const {
  const auto found = failed_.find({&node, converter});
  return found == failed_.end() ? nullptr : &found->second;
}

std::map<const ir::AtenNode*, std::string> BuildFailures::reasons() const {
  std::map<const ir::AtenNode*, std::string> out;
  for (const auto& [key, reason] : failed_) out[key.first] = fmt::format("{}: {}", key.first->target, reason);
  return out;
}

CompileRegistry::CompileRegistry(const ir::Program& program, const CompileOptions& options, const ops::Registry& ours) : ours_(ours) {
  std::vector<Converter> converters;
  {
    const std::scoped_lock lock(process().mutex);
    converters = process().converters;
  }
  for (const Converter& converter : options.converters) {
    check(converter);
    converters.push_back(converter);
  }
  const kernels::ForeignKernels foreign(options.foreign_kernels);
  index_nodes(program.graph, *graphs_);
  if (converters.empty() && foreign.all().empty() && !has_functionalized(*graphs_)) return;
  own_ = std::make_unique<ops::Registry>(ours);
  int id = 0;
  for (const auto& kernel : foreign.all()) own_->add(watched(to_row(kernel, options.device.type, graphs_), id++, failures_));
  for (const Converter& converter : converters) own_->add(watched(to_row(converter, full_schema(converter.schema, ours), graphs_), id++, failures_));
  add_functionalized_rows(*own_, *graphs_);
}

}  // namespace api
}  // namespace reprise
