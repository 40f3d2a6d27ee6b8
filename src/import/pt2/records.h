// The records of a `.pt2` archive, and tensors over their bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/zip.h"
#include "import/pt2/load.h"
#include "reprise/tensor.h"

namespace reprise::import {

/// Bytes and what keeps them alive.
struct Record {
  base::Bytes bytes;
  std::shared_ptr<const void> owner;
};

/// A zip archive whose entries are records; what is deflated is inflated once.
class RecordZip {
 public:
  RecordZip() = default;
  RecordZip(Record file, const std::string& label, const Limits& limits);

  [[nodiscard]] const base::ZipReader& zip() const { return zip_; }
  /// `checked`: with its checksum. Weights beyond 1 MiB are not read through for theirs.
  [[nodiscard]] Record content(const base::ZipEntry& entry, bool checked) const;

 private:
  std::shared_ptr<const void> owner_;
  base::ZipReader zip_;
  mutable std::map<const base::ZipEntry*, Record> inflated_;
};

/// Where an archive keeps its weights.
enum class Generation : std::uint8_t {
  flat,     // PyTorch <= 2.7: no top folder, torch.save archives inside
  pickled,  // 2.8: a top folder, torch.save archives inside
  raw       // >= 2.9: one record per storage, described by JSON
};

class Archive {
 public:
  /// Throws FormatError when the bytes are no zip archive, or not one that torch.export.save wrote (it says what it looks like instead).
  Archive(Record file, std::string label, const Limits& limits);

  [[nodiscard]] Generation generation() const { return generation_; }
  [[nodiscard]] const std::string& label() const { return label_; }
  /// "file.pt2: data/weights/weight_0"
  [[nodiscard]] std::string label_of(std::string_view name) const;

  /// `name` is relative to the top folder, with "{}" standing for the model's name. nullopt: there is no such record.
  [[nodiscard]] std::optional<Record> find(std::string_view name, bool checked = false) const;
  [[nodiscard]] Record at(std::string_view name, bool checked = false) const;
  /// The program's JSON.
  [[nodiscard]] Record model() const;

 private:
  void locate_model();
  [[nodiscard]] std::string full_name(std::string_view name) const;
  std::string label_;
  RecordZip records_;
  std::string prefix_, model_name_;
  Generation generation_ = Generation::flat;
};

/// How a tensor lies in its storage, in elements; as hostile as the file.
struct Strided {
  std::vector<std::int64_t> sizes, strides;
  std::int64_t offset = 0;
};

/// Tensors over records: those over the same bytes with the same dtype share one storage. Bytes stay where they are when they are aligned for the dtype.
class Storages {
 public:
  /// Throws FormatError when the layout reaches outside the record, or claims more elements than any storage holds. `label` begins the message.
  Tensor tensor(const Record& record, DType dtype, const Strided& layout, const std::string& label);

 private:
  Tensor& storage(const Record& record, DType dtype);
  std::map<std::pair<const std::byte*, DType>, std::pair<Tensor, Record>> storages_;
};

}  // namespace reprise::import
