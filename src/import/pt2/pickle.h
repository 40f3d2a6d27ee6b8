// A reader of the pickles that torch.save writes. It builds data and executes nothing.
//
// Opcodes: those of protocol 2 that PyTorch's pickler emits. Globals: an explicit list (tensor and parameter rebuilders, OrderedDict, torch.Size, storage
// types, dtypes). Whatever else a pickle holds is refused with a FormatError that names the opcode or the global.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"

namespace reprise::import {

class Pickle {
 public:
  /// `global`: text is its full name, "torch.FloatStorage". `call`: text is the function's name, items[0] the tuple of its arguments.
  /// `persistent`: items[0] is the id. `dict`: items are key, value, key, value, …
  /// Items may be shared and, in a hostile file, cyclic: who walks them bounds depth and count.
  enum class Kind : std::uint8_t { none, boolean, integer, real, text, tuple, list, dict, global, call, persistent };
  using Id = std::uint32_t;
  struct Node {
    Kind kind = Kind::none;
    std::int64_t integer = 0;  // also booleans
    double real = 0;
    std::string_view text;  // of the bytes, or a literal
    std::vector<Id> items;
  };

  /// `bytes` must outlive this. `label` begins every message.
  Pickle(base::Bytes bytes, std::string label);

  [[nodiscard]] Id root() const { return root_; }
  [[nodiscard]] const Node& at(Id id) const { return nodes_[id]; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  /// The value of a text key; nullopt when `dict` is no dict or has no such key.
  [[nodiscard]] std::optional<Id> find(Id dict, std::string_view key) const;
  [[nodiscard]] const std::string& label() const { return label_; }

 private:
  friend class Unpickler;
  std::string label_;
  std::vector<Node> nodes_;
  Id root_ = 0;
};

}  // namespace reprise::import
