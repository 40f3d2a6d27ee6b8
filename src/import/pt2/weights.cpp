#include "import/pt2/weights.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "import/pt2/dtypes.h"
#include "import/pt2/torch_save.h"

namespace reprise::import {
namespace {

using base::JsonDocument;
using base::JsonValue;

std::string_view text_of(const Record& record) { return {reinterpret_cast<const char*>(record.bytes.data()), record.bytes.size()}; }

/// One of the two places where a file keeps tensors by name.
class Source {
 public:
  virtual ~Source() = default;
  /// nullopt: it has none of that name.
  virtual std::optional<Tensor> find(const std::string& name) const = 0;
};

/// A dictionary in an archive of torch.save.
class PickledSource : public Source {
 public:
  PickledSource(const Record& record, const std::string& label, const Limits& limits, Storages& storages) : file_(record, label, limits, storages) {
    const Pickle::Node& root = file_.pickle().at(file_.pickle().root());
    REPRISE_CHECK(root.kind == Pickle::Kind::dict, FormatError, "[import/weights] {}: it holds no dictionary of tensors", label);
    for (std::size_t i = 0; i + 1 < root.items.size(); i += 2) {
      const Pickle::Node& key = file_.pickle().at(root.items[i]);
      if (key.kind == Pickle::Kind::text) places_[key.text] = root.items[i + 1];
    }
  }

  std::optional<Tensor> find(const std::string& name) const override {
    const auto place = places_.find(name);
    if (place == places_.end()) return std::nullopt;
    return file_.tensor(place->second);
  }

 private:
  TorchSave file_;
  std::unordered_map<std::string_view, Pickle::Id> places_;
};

/// A JSON table of raw records.
class RawSource : public Source {
 public:
  RawSource(const Archive& archive, std::string folder, std::string_view config, const Limits& limits, Storages& storages)
      : archive_(archive), folder_(std::move(folder)), limits_(limits), storages_(storages), config_(archive.at(config, true)) {
    document_.emplace(text_of(config_), archive.label_of(config));
    for (const auto& [name, entry] : document_->root().at("config").members()) entries_.emplace(name, entry);
  }

  std::optional<Tensor> find(const std::string& name) const override {
    const auto entry = entries_.find(name);
    if (entry == entries_.end()) return std::nullopt;
    const std::string path = folder_ + std::string(entry->second.at("path_name").as_string());
    const Record record = archive_.at(path);
    if (entry->second.at("use_pickle").as_bool()) {
      const TorchSave file(record, archive_.label_of(path), limits_, storages_);
      return file.tensor(file.pickle().root());
    }
    return raw_tensor(record, entry->second.at("tensor_meta"), archive_.label_of(path) + " (" + name + ")");
  }

 private:
  Tensor raw_tensor(const Record& record, const JsonValue& meta, const std::string& label) const {
    const int type = meta.at("dtype").as_small_int();
    const auto dtype = dtype_of(type);
    REPRISE_CHECK(dtype.has_value(), UnsupportedOp, "[import/weights] {}: a weight is of {}, which Reprise does not have", label, scalar_type_name(type));
    const auto integer = [](const JsonValue& v) { return v.at("as_int").as_int(); };
    Strided layout;
    for (const JsonValue& v : meta.at("sizes").items()) layout.sizes.push_back(integer(v));
    for (const JsonValue& v : meta.at("strides").items()) layout.strides.push_back(integer(v));
    layout.offset = integer(meta.at("storage_offset"));
    return storages_.tensor(record, *dtype, layout, label);
  }

  const Archive& archive_;
  std::string folder_;
  const Limits& limits_;
  Storages& storages_;
  Record config_;
  std::optional<JsonDocument> document_;
  std::unordered_map<std::string_view, JsonValue> entries_;
};

std::unique_ptr<Source> open(const Archive& archive, bool constants, const Limits& limits, Storages& storages) {
  const std::string folder = constants ? "data/constants/" : "data/weights/";
  if (archive.generation() == Generation::raw) {
    const std::string config = folder + (constants ? "{}_constants_config.json" : "{}_weights_config.json");
    return archive.find(config) ? std::make_unique<RawSource>(archive, folder, config, limits, storages) : nullptr;
  }
  const std::string name = archive.generation() == Generation::pickled ? folder + "{}.pt" : constants ? "serialized_constants.pt" : "serialized_state_dict.pt";
  const auto record = archive.find(name);
  if (!record || record->bytes.empty()) return nullptr;
  return std::make_unique<PickledSource>(*record, archive.label_of(name), limits, storages);
}

void check_meta(const ir::ProgramInput& input, const Tensor& tensor, const ir::TensorMeta& meta, const std::string& label) {
  bool same = tensor.dtype() == meta.dtype && tensor.sizes().size() == meta.sizes.size();
  for (std::size_t i = 0; same && i < meta.sizes.size(); ++i) same = meta.sizes[i] == sym::Expr(tensor.sizes()[i]);
  REPRISE_CHECK(same, FormatError, "[import/weights] {}: '{}' is not as the graph has it (got {}{}, want {}{})", label, input.target, name(tensor.dtype()),
                sym::str(sym::Shape(tensor.sizes().begin(), tensor.sizes().end())), name(meta.dtype), sym::str(meta.sizes));
}

}  // namespace

void read_weights(const Archive& archive, const Limits& limits, Storages& storages, ir::Program& program) {
  const auto weights = open(archive, false, limits, storages), constants = open(archive, true, limits, storages);
  const auto lookup = [](const Source* source, const std::string& name) { return source == nullptr ? std::nullopt : source->find(name); };
  for (const ir::ProgramInput& input : program.inputs) {
    if (input.kind == ir::InputKind::user || input.kind == ir::InputKind::constant) continue;
    const bool constant = input.kind == ir::InputKind::tensor_constant || (input.kind == ir::InputKind::buffer && !input.persistent);
    auto tensor = lookup(constant ? constants.get() : weights.get(), input.target);
    if (!tensor) tensor = lookup(constant ? weights.get() : constants.get(), input.target);
    REPRISE_CHECK(tensor.has_value(), FormatError, "[import/weights] {}: the file does not hold '{}'", archive.label(), input.target);
    check_meta(input, *tensor, program.graph.tensors.at(input.name), archive.label());
    program.tensors.insert_or_assign(input.target, ir::ProgramTensor{input.target, *std::move(tensor)});
  }
}

}  // namespace reprise::import
