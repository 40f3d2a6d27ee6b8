#include "api/compiler/op_node_view.h"

#include <algorithm>

#include "base/check.h"
#include "reprise/converter.h"

namespace reprise::api {

SymInt to_public(const sym::Expr& expr) { return SymInt(std::make_shared<const SymInt::Impl>(SymInt::Impl{expr})); }

std::vector<SymInt> to_public(std::span<const sym::Expr> sizes) {
  std::vector<SymInt> out;
  for (const auto& size : sizes) out.push_back(to_public(size));
  return out;
}

TensorInfo to_public(const ir::TensorMeta& meta) { return {meta.dtype, to_public(meta.sizes)}; }

sym::Shape to_shape(std::span<const SymInt> sizes) {
  sym::Shape out;
  for (const auto& size : sizes) out.push_back(size.impl().expr);
  return out;
}

void NodeArguments::refuse() const { REPRISE_FAIL(Error, "[ops/{}] there is no graph to build yet", node_.target); }

const ir::Arg& NodeArguments::arg(std::string_view name) const {
  const auto& params = schema_.params;
  const auto param = std::find_if(params.begin(), params.end(), [&](const auto& p) { return p.name == name; });
  REPRISE_CHECK(param != params.end(), InvalidArgument, "[ops/{}] there is no argument '{}'", node_.target, name);
  auto left = param - params.begin();
  for (const auto& given : node_.args)
    if (given.name.empty() ? left-- == 0 : given.name == name) return given.value;
  REPRISE_CHECK(param->fallback.has_value(), InvalidArgument, "[ops/{}] argument '{}' is missing", node_.target, name);
  return *param->fallback;
}

template <class Base>
TensorInfo OpNodeView<Base>::tensor_info(std::string_view argument) const {
  const auto* tensor = std::get_if<ir::TensorName>(&arguments_.arg(argument));
  REPRISE_CHECK(tensor != nullptr, InvalidArgument, "[ops/{}] argument '{}' is not a tensor", target(), argument);
  return to_public(graph_.tensors.at(tensor->name));
}

template <class Base>
std::vector<TensorInfo> OpNodeView<Base>::tensor_infos(std::string_view argument) const {
  const auto* list = std::get_if<std::vector<std::optional<ir::TensorName>>>(&arguments_.arg(argument));
  if (list == nullptr) return {tensor_info(argument)};
  std::vector<TensorInfo> out;
  for (const auto& tensor : *list)
    if (tensor) out.push_back(to_public(graph_.tensors.at(tensor->name)));
  return out;
}

template <class Base>
std::vector<TensorInfo> OpNodeView<Base>::outputs() const {
  std::vector<TensorInfo> out;
  const auto add = [&](const ir::TensorName& tensor) { out.push_back(to_public(graph_.tensors.at(tensor.name))); };
  for (const auto& output : arguments_.node().outputs) {
    if (const auto* tensor = std::get_if<ir::TensorName>(&output)) add(*tensor);
    if (const auto* list = std::get_if<std::vector<ir::TensorName>>(&output)) std::for_each(list->begin(), list->end(), add);
  }
  return out;
}

template class OpNodeView<OpNode>;
template class OpNodeView<ConversionContext>;

}  // namespace reprise::api
