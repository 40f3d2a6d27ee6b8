// PyTorch's treespec text: how arguments and results nest.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "import/pt2/torch_save.h"

namespace reprise::import {

struct TreeSpec {
  bool leaf = false;
  bool keyed = false;             // `keys` are names rather than positions
  std::vector<std::string> keys;  // one per child
  std::vector<TreeSpec> children;
};

/// `text` is `[1, {"type": …, "context": …, "children_spec": […]}]`. `namedtuples` maps type names to {field_names}; may be absent. Throws FormatError.
TreeSpec parse_treespec(std::string_view text, const std::optional<base::JsonValue>& namedtuples, const std::string& label);

/// One name per leaf of an `(args, kwargs)` tree: "x", "extra.bias.0". Positional arguments are called as in `forward_names`, as far as it goes. Names are
/// unique.
std::vector<std::string> input_names(const TreeSpec& tree, std::span<const std::string> forward_names);
/// One name per leaf of a result: keys joined by dots, "output_1" where the outermost level has none.
std::vector<std::string> output_names(const TreeSpec& tree);

/// The tensors at the leaves of `tree` in the pickled value of the same nesting; undefined where a leaf is no tensor. nullopt when the two disagree.
std::optional<std::vector<Tensor>> flatten(const TreeSpec& tree, const TorchSave& file);

}  // namespace reprise::import
