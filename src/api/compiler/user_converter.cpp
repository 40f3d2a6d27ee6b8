// A user's converter as a row of the table.
#include "api/compiler/op_node_view.h"
#include "api/compiler/registry.h"
#include "api/compiler/values.h"
#include "base/check.h"
#include "ir/shapes.h"

namespace reprise::api {
namespace {

class Conversion final : public OpNodeView<ConversionContext> {
 public:
  Conversion(ops::Context& context, const ir::AtenGraph& graph, const ops::Schema& schema)
      : OpNodeView(context.node(), graph, schema), context_(context), builder_(&context.build()) {}

  [[nodiscard]] GraphBuilder& builder() override { return builder_; }
  [[nodiscard]] Value value(std::string_view argument) override { return wrap(context_.tensor(argument)); }
  [[nodiscard]] Value value_or_none(std::string_view argument) override { return wrap(context_.tensor_or_none(argument)); }
  [[nodiscard]] std::vector<Value> values(std::string_view argument) override {
    std::vector<Value> out;
    for (const auto& value : context_.tensors(argument)) out.push_back(wrap(value));
    return out;
  }

 private:
  [[nodiscard]] Value wrap(const ir::Val& value) { return to_value(context_.build().graph(), value); }

  ops::Context& context_;
  GraphBuilder builder_;
};

/// What the driver would find out too late to ask another converter.
void check_result(const ops::Context& context, int index, const ir::Val& value) {
  const auto* meta = context.output_meta(index);
  if (meta == nullptr) return;
  const auto& target = context.node().target;
  REPRISE_CHECK(value.defined(), InvalidArgument, "[ops/{}] result {} of the converter is undefined", target, index);
  REPRISE_CHECK(value.dtype() == meta->dtype, InvalidArgument, "[ops/{}] result {} of the converter has the wrong dtype (got {}, want {})", target, index,
                name(value.dtype()), name(meta->dtype));
  REPRISE_CHECK(!ir::differ(value.sizes(), meta->sizes), ShapeError, "[ops/{}] result {} of the converter has the wrong sizes (got {}, want {})", target, index,
                sym::str(value.sizes()), sym::str(meta->sizes));
}

}  // namespace

ops::Converter to_row(const Converter& converter, const std::string& schema, std::shared_ptr<const GraphOf> graphs) {
  ops::Converter row;
  row.schema = schema;
  row.priority = converter.priority == ConverterPriority::high ? ops::Priority::high : ops::Priority::standard;
  row.supports_dynamic_shapes = converter.supports_dynamic_shapes;
  row.requires_output_allocator = converter.requires_output_allocator;
  const auto parsed = std::make_shared<const ops::Schema>(ops::parse_schema(schema));
  if (converter.capability_validator)
    row.validate = [validate = converter.capability_validator, parsed, graphs](const ir::AtenNode& node) {
      return validate(OpNodeView<OpNode>(node, *graphs->at(&node), *parsed));
    };
  row.convert = [convert = converter.convert, parsed, graphs](ops::Context& context) {
    Conversion conversion(context, *graphs->at(&context.node()), *parsed);
    const auto results = convert(conversion);
    REPRISE_CHECK(context.output_meta(static_cast<int>(results.size())) == nullptr, InvalidArgument, "[ops/{}] the converter returned too few results (got {})",
                  context.node().target, results.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      check_result(context, static_cast<int>(i), to_val(results[i]));
      context.set(static_cast<int>(i), to_val(results[i]));
    }
  };
  return row;
}

}  // namespace reprise::api
