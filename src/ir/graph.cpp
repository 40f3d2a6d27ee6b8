#include "ir/graph.h"

#include "base/check.h"
#include "ir/shapes.h"

namespace reprise::ir {
namespace {

bool row_major(const Value& v) {
  sym::Expr stride = 1;
  for (std::size_t i = v.sizes.size(); i-- > 0;) {
    if (is_const(v.sizes[i], 0)) return true;
    if (is_const(v.sizes[i], 1)) continue;
    if (v.strides[i] != stride) return false;
    stride = stride * v.sizes[i];
  }
  return true;
}

}  // namespace

ValueId Graph::add_root(ValueKind kind, std::string name, DType dtype, sym::Shape sizes, int index) {
  const auto id = static_cast<ValueId>(values.size());
  auto strides = sym::contiguous_strides(sizes);
  values.push_back({kind, std::move(name), dtype, std::move(sizes), std::move(strides), 0, id, index});
  return id;
}

ValueId Graph::add_view(ValueId base, sym::Shape sizes, sym::Shape strides, sym::Expr offset) {
  REPRISE_CHECK(sizes.size() == strides.size(), InvalidArgument, "[ir/view] strides do not match the sizes (got {} and {})", strides.size(), sizes.size());
  const auto id = static_cast<ValueId>(values.size());
  const ValueId root = at(base).root;
  values.push_back({ValueKind::view, at(root).name, at(root).dtype, std::move(sizes), std::move(strides), std::move(offset), root, -1});
  return id;
}

ValueId Graph::add_constant(std::string name, Tensor data) {
  REPRISE_CHECK(data.is_contiguous(), InvalidArgument, "[ir/constant] '{}' is not contiguous", name);
  const sym::Shape sizes(data.sizes().begin(), data.sizes().end());
  const ValueId id = add_root(ValueKind::constant, name, data.dtype(), sizes, static_cast<int>(constants.size()));
  constants.push_back({std::move(name), std::move(data)});
  return id;
}

bool Graph::is_contiguous(ValueId id) const { return row_major(at(id)); }

bool Graph::is_whole(ValueId id) const {
  const Value& v = at(id);
  if (v.root == id) return true;
  const Value& root = at(v.root);
  return v.offset == sym::Expr(0) && row_major(v) && row_major(root) && sym::product(v.sizes) == sym::product(root.sizes);
}

}  // namespace reprise::ir
