// Archives of torch.save: a zip with one pickle and its tensors' storages.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "import/pt2/pickle.h"
#include "import/pt2/records.h"

namespace reprise::import {

class TorchSave {
 public:
  /// `record` is the archive, inside the `.pt2` or alone; `storages` outlives this. Throws FormatError on anything but tensors in plain containers.
  TorchSave(Record record, std::string label, const Limits& limits, Storages& storages);

  [[nodiscard]] const Pickle& pickle() const { return *pickle_; }
  [[nodiscard]] bool is_tensor(Pickle::Id id) const { return pickle_->at(id).kind == Pickle::Kind::call; }
  /// Rebuilds the tensor (or parameter) at `id`; attributes that were set on it are ignored. Throws FormatError when it is malformed or its dtype has no
  /// counterpart.
  [[nodiscard]] Tensor tensor(Pickle::Id id) const;

 private:
  /// A function and its arguments.
  struct Call {
    std::string_view function;
    Pickle::Id args;
  };
  [[nodiscard]] Call unwrapped(Pickle::Id id) const;
  [[nodiscard]] const std::vector<Pickle::Id>& items(Pickle::Id tuple, std::size_t least) const;
  [[nodiscard]] std::int64_t integer(Pickle::Id id) const;
  [[nodiscard]] std::vector<std::int64_t> integers(Pickle::Id id) const;
  [[nodiscard]] std::string_view text(Pickle::Id id, Pickle::Kind kind) const;
  [[noreturn]] void fail(std::string_view what) const;

  std::string label_;
  RecordZip records_;
  std::string prefix_;
  Record pickle_bytes_;  // what the pickle's texts point into
  std::optional<Pickle> pickle_;
  Storages* storages_;
};

}  // namespace reprise::import
