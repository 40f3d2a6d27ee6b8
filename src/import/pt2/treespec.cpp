#include "import/pt2/treespec.h"

#include <unordered_set>

#include "base/check.h"

namespace reprise::import {
namespace {

using base::JsonDocument;
using base::JsonValue;

std::vector<std::string> positions(std::size_t count) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < count; ++i) keys.push_back(std::to_string(i));
  return keys;
}

std::string key_text(const JsonValue& key) {
  return key.is_string() ? std::string(key.as_string()) : key.is_integer() ? std::to_string(key.as_int()) : std::string();
}

/// Keys of a dictionary: its context is the JSON text of a list; a defaultdict's holds that list as `dict_context`.
std::vector<std::string> keys_of(const JsonValue& context) {
  std::vector<std::string> keys;
  if (context.is_array()) {
    for (const JsonValue& key : context.items()) keys.push_back(key_text(key));
  } else if (const auto inner = context.find("dict_context")) {
    if (inner->is_array()) return keys_of(*inner);
  }
  return keys;
}

std::vector<std::string> child_keys(const JsonValue& node, std::size_t count, const std::optional<JsonValue>& namedtuples) {
  const JsonValue context = node.at("context");
  if (!context.is_string()) return {};
  if (node.at("type").as_string() == "collections.namedtuple") {
    std::string_view name = context.as_string();
    if (name.size() > 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
    const auto fields = namedtuples ? namedtuples->find(name) : std::nullopt;
    return fields ? fields->at("field_names").as_strings() : std::vector<std::string>{};
  }
  if (context.as_string().empty() || context.as_string().front() == 'n') return {};
  const JsonDocument document(context.as_string(), node.path());
  auto keys = keys_of(document.root());
  return keys.size() == count ? keys : std::vector<std::string>{};
}

TreeSpec parse(const JsonValue& node, const std::optional<JsonValue>& namedtuples) {
  TreeSpec tree;
  tree.leaf = node.at("type").is_null();
  if (tree.leaf) return tree;
  for (const JsonValue& child : node.at("children_spec").items()) tree.children.push_back(parse(child, namedtuples));
  tree.keys = child_keys(node, tree.children.size(), namedtuples);
  tree.keyed = !tree.children.empty() && tree.keys.size() == tree.children.size();
  if (!tree.keyed) tree.keys = positions(tree.children.size());
  return tree;
}

void collect_names(const TreeSpec& tree, const std::string& path, std::vector<std::string>& names) {
  if (tree.leaf) names.push_back(path);
  for (std::size_t i = 0; i < tree.children.size(); ++i) collect_names(tree.children[i], path + "." + tree.keys[i], names);
}

/// A name that is empty or taken becomes `stem` and its position.
std::vector<std::string> unique(std::vector<std::string> names, std::string_view stem) {
  std::unordered_set<std::string> taken;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || !taken.insert(names[i]).second) names[i] = std::string(stem) + std::to_string(i);
  }
  return names;
}

class Flattener {
 public:
  explicit Flattener(const TorchSave& file) : file_(file) {}

  /// False when the value does not nest as the tree does.
  bool walk(const TreeSpec& tree, Pickle::Id id) {
    const Pickle::Node& node = file_.pickle().at(id);
    if (tree.leaf) {
      leaves_.push_back(file_.is_tensor(id) ? file_.tensor(id) : Tensor());
      return true;
    }
    if (node.kind == Pickle::Kind::dict) return walk_keys(tree, id);
    const bool sequence = node.kind == Pickle::Kind::tuple || node.kind == Pickle::Kind::list;
    if (!sequence || node.items.size() != tree.children.size()) return false;
    for (std::size_t i = 0; i < tree.children.size(); ++i) {
      if (!walk(tree.children[i], node.items[i])) return false;
    }
    return true;
  }

  std::vector<Tensor> take() { return std::move(leaves_); }

 private:
  bool walk_keys(const TreeSpec& tree, Pickle::Id id) {
    for (std::size_t i = 0; i < tree.children.size(); ++i) {
      const auto value = file_.pickle().find(id, tree.keys[i]);
      if (!value || !walk(tree.children[i], *value)) return false;
    }
    return true;
  }

  const TorchSave& file_;
  std::vector<Tensor> leaves_;
};

}  // namespace

TreeSpec parse_treespec(std::string_view text, const std::optional<JsonValue>& namedtuples, const std::string& label) {
  const JsonDocument document(text, label);
  const auto parts = document.root().items();
  REPRISE_CHECK(parts.size() == 2, FormatError, "[import/pt2] {}: it has {} parts, want 2", label, parts.size());
  return parse(parts[1], namedtuples);
}

std::vector<std::string> input_names(const TreeSpec& tree, std::span<const std::string> forward_names) {
  std::vector<std::string> names;
  if (tree.children.size() != 2) {
    collect_names(tree, "input", names);
    return unique(std::move(names), "input_");
  }
  const TreeSpec& args = tree.children[0];
  const TreeSpec& kwargs = tree.children[1];
  for (std::size_t i = 0; i < args.children.size(); ++i) {
    collect_names(args.children[i], i < forward_names.size() ? forward_names[i] : "arg_" + std::to_string(i), names);
  }
  for (std::size_t i = 0; i < kwargs.children.size(); ++i) collect_names(kwargs.children[i], kwargs.keys[i], names);
  return unique(std::move(names), "input_");
}

std::vector<std::string> output_names(const TreeSpec& tree) {
  std::vector<std::string> names;
  if (tree.leaf) return {"output_0"};
  for (std::size_t i = 0; i < tree.children.size(); ++i) collect_names(tree.children[i], (tree.keyed ? "" : "output_") + tree.keys[i], names);
  return unique(std::move(names), "output_");
}

std::optional<std::vector<Tensor>> flatten(const TreeSpec& tree, const TorchSave& file) {
  Flattener flattener(file);
  if (!flattener.walk(tree, file.pickle().root())) return std::nullopt;
  return flattener.take();
}

}  // namespace reprise::import
