// A foreign kernel as a row of the table: the node becomes one core op.
#include <algorithm>

#include "api/compiler/op_node_view.h"
#include "api/compiler/registry.h"
#include "api/compiler/signature.h"
#include "base/check.h"
#include "core/foreign.h"
#include "ir/shapes.h"
#include "reprise/foreign_kernel.h"

namespace reprise::api {
namespace {

using ir::Val;
using sym::Expr;

bool is_tensor_type(const std::string& type) { return type.starts_with("Tensor"); }

class Emitter {
 public:
  Emitter(const ForeignKernel& kernel, const Signature& signature, ops::Context& context, const ir::AtenGraph& graph)
      : kernel_(kernel), signature_(signature), context_(context), builder_(context.build()), graph_(graph) {}

  void emit() {
    attrs_.set("name", kernel_.name);
    for (std::size_t p = 0; p < signature_.schema.params.size(); ++p) add_parameter(p);
    const auto results = result_types();
    measure(results);
    std::vector<Val> outputs;
    for (const auto& type : results) outputs.push_back(builder_.new_root(type.dtype, type.sizes));
    const std::size_t own = outputs.size();
    for (const auto i : mutated_) outputs.push_back(builder_.new_root(inputs_[i].dtype(), inputs_[i].sizes()));
    if (!mutated_.empty()) attrs_.set("mutates", core::exprs({mutated_.begin(), mutated_.end()}));
    append(outputs);
    for (std::size_t m = 0; m < mutated_.size(); ++m) builder_.write(inputs_[mutated_[m]], outputs[own + m]);
    std::size_t next = 0;
    for (int i = 0; context_.output_meta(i) != nullptr; ++i) {
      const auto alias = aliased(i);
      context_.set(i, alias ? inputs_[*alias] : outputs[next++]);
    }
  }

 private:
  void add_parameter(std::size_t index) {
    const ops::Param& param = signature_.schema.params[index];
    if (!is_tensor_type(param.type)) return add_argument(param.name);
    std::vector<Val> tensors;
    if (!context_.is_none(param.name))
      tensors = param.type.find('[') == std::string::npos ? std::vector{context_.tensor(param.name)} : context_.tensors(param.name);
    std::erase_if(tensors, [](const Val& v) { return !v.defined(); });
    attrs_.set(core::kForeignInput + param.name, core::exprs({std::ssize(inputs_), std::ssize(tensors)}));
    for (const Val& tensor : tensors) {
      if (!signature_.written[index].empty()) {
        marks_.emplace_back(signature_.written[index], inputs_.size());
        mutated_.push_back(inputs_.size());
      }
      inputs_.push_back(tensor);
    }
  }

  void add_argument(const std::string& name) {
    const auto set = [&](core::Attr value) { attrs_.set(core::kForeignArgument + name, std::move(value)); };
    const ir::Arg& arg = context_.arg(name);
    if (std::holds_alternative<ir::None>(arg)) return;
    if (const auto* v = std::get_if<bool>(&arg)) return set(*v);
    if (const auto* v = std::get_if<Expr>(&arg)) return v->op() == sym::Op::real ? set(v->real_value()) : set(*v);
    if (const auto* v = std::get_if<double>(&arg)) return set(*v);
    if (const auto* v = std::get_if<std::string>(&arg)) return set(*v);
    if (const auto* v = std::get_if<std::vector<Expr>>(&arg)) return set(*v);
    if (const auto* v = std::get_if<std::vector<double>>(&arg)) return set(*v);
    if (const auto* v = std::get_if<std::vector<bool>>(&arg)) return set(core::exprs({v->begin(), v->end()}));
    if (const auto* v = std::get_if<ir::ScalarTypeArg>(&arg)) return set(v->value);
    if (const auto* v = std::get_if<Device>(&arg)) return set(v->str());
    if (const auto* v = std::get_if<ir::Layout>(&arg)) return set(Expr(v->value));
    if (const auto* v = std::get_if<ir::MemoryFormat>(&arg)) return set(Expr(v->value));
    // An empty list whose elements the exporter did not know, and what no schema of a custom op can hold.
    const auto* empty = std::get_if<std::vector<std::optional<ir::TensorName>>>(&arg);
    REPRISE_CHECK(empty != nullptr && empty->empty(), InvalidArgument, "[ops/{}] argument '{}' has a type that foreign kernels cannot take", kernel_.name,
                  name);
    set(std::vector<Expr>());
  }

  [[nodiscard]] std::optional<std::size_t> aliased(int result) const {
    const auto i = static_cast<std::size_t>(result);
    if (i >= signature_.returned.size() || signature_.returned[i].empty()) return std::nullopt;
    for (const auto& [mark, input] : marks_)
      if (mark == signature_.returned[i]) return input;
    return std::nullopt;
  }

  struct Type {
    DType dtype;
    sym::Shape sizes;
  };
  /// Of the results that are not an input's memory.
  std::vector<Type> result_types() {
    std::vector<Type> types;
    for (int i = 0; const auto* meta = context_.output_meta(i); ++i)
      if (!aliased(i)) types.push_back({meta->dtype, meta->sizes});
    if (!kernel_.infer) return types;
    const auto inferred = kernel_.infer(OpNodeView<OpNode>(context_.node(), graph_, signature_.schema));
    REPRISE_CHECK(inferred.size() == types.size(), InvalidArgument, "[ops/{}] `infer` gives the wrong number of results (got {}, want {})", kernel_.name,
                  inferred.size(), types.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      const auto sizes = to_shape(inferred[i].sizes);
      REPRISE_CHECK(inferred[i].dtype == types[i].dtype && !ir::differ(sizes, types[i].sizes), ShapeError,
                    "[ops/{}] `infer` does not agree with the exporter about result {} (got {} {}, want {} {})", kernel_.name, i, name(inferred[i].dtype),
                    sym::str(sizes), name(types[i].dtype), sym::str(types[i].sizes));
    }
    return types;
  }

  /// Where sizes depend on data, a command of its own finds them out first.
  void measure(const std::vector<Type>& results) {
    std::vector<std::string> names;
    for (const auto& type : results)
      for (const Expr& size : type.sizes) sym::collect_symbols(size, names);
    std::erase_if(names, [&](const std::string& symbol) { return builder_.knows(Expr::symbol(symbol)); });
    if (names.empty()) return;
    REPRISE_CHECK(kernel_.requires_output_allocator, InvalidArgument,
                  "[ops/{}] sizes of its results depend on data ({}), and the foreign kernel does not say requires_output_allocator", kernel_.name,
                  fmt::join(names, ", "));
    const Val sizes = builder_.new_root(DType::i64, {Expr(std::ssize(names))}, "sizes");
    const auto attrs = attrs_;
    attrs_.set("measures", true);
    append({sizes});
    attrs_ = attrs;
    for (std::size_t i = 0; i < names.size(); ++i) builder_.item(builder_.select(sizes, 0, Expr(static_cast<std::int64_t>(i))), Expr::symbol(names[i]));
  }

  void append(const std::vector<Val>& outputs) {
    const auto ids = [](const std::vector<Val>& values) {
      std::vector<ir::ValueId> out;
      for (const Val& v : values) out.push_back(v.id());
      return out;
    };
    builder_.append(core::Op::foreign, ids(inputs_), ids(outputs), attrs_);
  }

  const ForeignKernel& kernel_;
  const Signature& signature_;
  ops::Context& context_;
  ir::Builder& builder_;
  const ir::AtenGraph& graph_;
  core::Attrs attrs_;
  std::vector<Val> inputs_;
  std::vector<std::size_t> mutated_;                        // inputs
  std::vector<std::pair<std::string, std::size_t>> marks_;  // of mutated inputs
};

/// Why the kernel cannot run on the device; empty: it can.
std::string missing_function(const ForeignKernel& kernel, DeviceType device) {
  const bool runs = kernel.host || (device == DeviceType::cuda && (kernel.cuda || kernel.nvrtc));
  const bool measures = !kernel.requires_output_allocator || kernel.host_sizes || (device == DeviceType::cuda && kernel.cuda_sizes);
  if (runs && measures) return {};
  return fmt::format("the foreign kernel '{}' has no {} for {}", kernel.name, runs ? "size function" : "function", device == DeviceType::cpu ? "cpu" : "cuda");
}

}  // namespace

ops::Converter to_row(std::shared_ptr<const ForeignKernel> kernel, DeviceType device, std::shared_ptr<const GraphOf> graphs) {
  ops::Converter row;
  row.schema = kernel->schema;
  row.priority = kernel->priority == ConverterPriority::high ? ops::Priority::high : ops::Priority::standard;
  row.supports_dynamic_shapes = kernel->supports_dynamic_shapes;
  row.requires_output_allocator = kernel->requires_output_allocator;
  const auto signature = std::make_shared<const Signature>(parse_signature(kernel->schema));
  row.validate = [kernel, device, signature, graphs](const ir::AtenNode& node) -> std::optional<std::string> {
    if (auto missing = missing_function(*kernel, device); !missing.empty()) return missing;
    if (!kernel->capability_validator) return std::nullopt;
    return kernel->capability_validator(OpNodeView<OpNode>(node, *graphs->at(&node), signature->schema));
  };
  row.convert = [kernel, signature, graphs](ops::Context& context) { Emitter(*kernel, *signature, context, *graphs->at(&context.node())).emit(); };
  return row;
}

}  // namespace reprise::api
