#include "passes/relayout.h"

#include <optional>
#include <utility>
#include <vector>

namespace reprise::passes {
namespace {

using ir::Value;
using ir::ValueId;
using sym::Expr;
using sym::Shape;

/// Tells views of a root in its new strides.
class Translator {
 public:
  Translator(const Value& root, const Shape& strides) : sizes_(root.sizes), old_(root.strides), new_(strides) {}

  struct Place {
    Shape strides;
    Expr offset;
  };
  std::optional<Place> translate(const Value& view) const {
    Place place;
    std::vector<std::int64_t> taken(sizes_.size());  // constant offset within each dimension
    if (!split(view.offset, taken)) return std::nullopt;
    for (std::size_t d = 0; d < sizes_.size(); ++d) place.offset = place.offset + Expr(taken[d]) * new_[d];
    for (std::size_t d = 0; d < view.sizes.size(); ++d) {
      const auto stride = view.sizes[d] == Expr(1) ? Expr(0) : translate(view.sizes[d], view.strides[d], taken);
      if (!stride) return std::nullopt;
      place.strides.push_back(*stride);
    }
    return place;
  }

 private:
  /// A constant offset as steps along each dimension.
  bool split(const Expr& offset, std::vector<std::int64_t>& taken) const {
    auto rest = offset.as_int();
    if (!rest) return false;
    for (std::size_t d = 0; d < sizes_.size() && *rest != 0; ++d) {
      const auto stride = old_[d].as_int();
      if (!stride) return false;
      if (*stride == 0) continue;
      taken[d] = *rest / *stride;
      *rest %= *stride;
    }
    return *rest == 0;
  }

  /// New stride of a view's dimension of `size` elements `stride` apart.
  std::optional<Expr> translate(const Expr& size, const Expr& stride, const std::vector<std::int64_t>& taken) const {
    if (stride == Expr(0)) return Expr(0);
    for (std::size_t d = 0; d < sizes_.size(); ++d) {
      if (sizes_[d] == Expr(1)) continue;
      const auto steps = steps_of(stride, old_[d]);
      if (!steps) continue;
      if (stays_inside(size, *steps, taken[d], sizes_[d])) return Expr(*steps) * new_[d];
      if (*steps == 1 && taken[d] == 0) return spanning(size, d);
    }
    return std::nullopt;
  }

  // stride = steps · unit
  static std::optional<std::int64_t> steps_of(const Expr& stride, const Expr& unit) {
    if (stride == unit) return 1;
    const auto s = stride.as_int(), u = unit.as_int();
    if (!s || !u || *u == 0 || *s % *u != 0) return std::nullopt;
    return *s / *u;
  }

  static bool stays_inside(const Expr& size, std::int64_t steps, std::int64_t taken, const Expr& extent) {
    if (size == extent) return steps == 1 && taken == 0;
    const auto s = size.as_int(), e = extent.as_int();
    return s && e && taken + (*s - 1) * steps < *e;
  }

  /// The view walks dimension `last` and those outside of it as one: they must still follow each other.
  std::optional<Expr> spanning(const Expr& size, std::size_t last) const {
    Expr covered = sizes_[last], step = sizes_[last] * new_[last];
    for (std::size_t d = last; d-- > 0 && !(covered == size);) {
      if (sizes_[d] == Expr(1)) continue;
      if (!(new_[d] == step)) return std::nullopt;
      covered = covered * sizes_[d];
      step = step * sizes_[d];
    }
    return covered == size ? std::optional(new_[last]) : std::nullopt;
  }

  const Shape &sizes_, &old_, &new_;
};

using Places = std::vector<std::pair<ValueId, Translator::Place>>;

/// Of all views of `root`; none when one cannot be told.
std::optional<Places> translate_views(const ir::Graph& graph, ValueId root, const Shape& strides) {
  const Translator translator(graph.at(root), strides);
  Places places;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (id == root || graph.at(id).root != root) continue;
    auto place = translator.translate(graph.at(id));
    if (!place) return std::nullopt;
    places.emplace_back(id, std::move(*place));
  }
  return places;
}

}  // namespace

bool can_relayout(const ir::Graph& graph, ValueId root, const Shape& strides) { return translate_views(graph, root, strides).has_value(); }

bool relayout(ir::Graph& graph, ValueId root, const Shape& strides) {
  auto places = translate_views(graph, root, strides);
  if (!places) return false;
  for (auto& [id, place] : *places) {
    graph.at(id).strides = std::move(place.strides);
    graph.at(id).offset = place.offset;
  }
  graph.at(root).strides = strides;
  return true;
}

Shape channels_last_strides(std::span<const Expr> sizes) {
  Shape strides(sizes.size());
  Expr step = sizes[1];
  strides[1] = 1;
  for (std::size_t d = sizes.size(); d-- > 0;) {
    if (d == 1) continue;
    strides[d] = step;
    step = step * sizes[d];
  }
  return strides;
}

}  // namespace reprise::passes
