#include "import/pt2/records.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace reprise::import {
namespace {

constexpr std::string_view kFlatModel = "serialized_exported_program.json";
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;  // of one tensor, also of one whose strides are 0
constexpr std::size_t kMaxRank = 64;
constexpr std::uint64_t kSmall = 1u << 20;

/// `folder/models/name.json` or `models/name.json`: where "models/" begins.
std::optional<std::size_t> model_folder(std::string_view name) {
  constexpr std::string_view kFolder = "models/";
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos || !name.ends_with(".json")) return std::nullopt;
  const std::size_t begin = name.starts_with(kFolder) ? 0 : slash + 1;
  if (name.substr(begin).starts_with(kFolder) && name.find('/', begin + kFolder.size()) == std::string_view::npos) return begin;
  return std::nullopt;
}

std::string_view kind_of_stranger(const base::ZipReader& zip) {
  const auto any = [&](auto test) { return std::any_of(zip.entries().begin(), zip.entries().end(), [&](const base::ZipEntry& e) { return test(e.name); }); };
  if (any([](const std::string& n) { return n.find("data/aotinductor/") != std::string::npos; })) {
    return "it is an AOTInductor package, which holds compiled code and no graph; save the program with torch.export.save instead";
  }
  if (any([](const std::string& n) { return n.ends_with("constants.pkl"); }))
    return "it is a TorchScript archive; save the program with torch.export.save instead";
  if (any([](const std::string& n) { return n.ends_with("data.pkl"); })) return "it is a file of torch.save; save the program with torch.export.save instead";
  return "it is a zip archive without models/*.json or serialized_exported_program.json";
}

}  // namespace

RecordZip::RecordZip(Record file, const std::string& label, const Limits& limits)
    : owner_(std::move(file.owner)),
      zip_(file.bytes, label, {.check_crc = limits.check_crc, .max_entries = limits.max_records, .max_inflated_bytes = limits.max_inflated_bytes}) {}

Record RecordZip::content(const base::ZipEntry& entry, bool checked) const {
  if (!entry.deflated) return {checked || entry.size <= kSmall ? zip_.bytes(entry) : entry.data, owner_};
  Record& record = inflated_[&entry];
  if (record.owner == nullptr) {
    const auto bytes = std::make_shared<const std::vector<std::byte>>(zip_.inflate(entry));
    record = {*bytes, bytes};
  }
  return record;
}

Archive::Archive(Record file, std::string label, const Limits& limits) : label_(std::move(label)) {
  REPRISE_CHECK(base::looks_like_zip(file.bytes), FormatError, "[import/pt2] {}: this is no .pt2 file: it is not a zip archive", label_);
  records_ = RecordZip(std::move(file), label_, limits);
  locate_model();
  const auto order = find("byteorder", true);
  const auto is_little = [](base::Bytes b) { return b.size() == 6 && std::memcmp(b.data(), "little", 6) == 0; };
  REPRISE_CHECK(!order || is_little(order->bytes), FormatError, "[import/pt2] {}: the weights are not in little-endian byte order", label_);
}

void Archive::locate_model() {
  const base::ZipReader& zip = records_.zip();
  if (zip.find(kFlatModel) != nullptr) return;
  std::vector<std::string_view> models;
  for (const base::ZipEntry& entry : zip.entries()) {
    if (model_folder(entry.name)) models.push_back(entry.name);
  }
  REPRISE_CHECK(!models.empty(), FormatError, "[import/pt2] {}: this is no program of torch.export: {}", label_, kind_of_stranger(zip));
  const auto standard = std::find_if(models.begin(), models.end(), [](std::string_view n) { return n.ends_with("models/model.json"); });
  REPRISE_CHECK(models.size() == 1 || standard != models.end(), FormatError,
                "[import/pt2] {}: it holds {} programs and none is named 'model' (got '{}', '{}', …)", label_, models.size(), models[0], models.back());
  const std::string_view name = standard != models.end() ? *standard : models[0];
  const std::size_t folder = *model_folder(name);
  prefix_ = name.substr(0, folder);
  model_name_ = name.substr(folder + 7, name.size() - folder - 7 - 5);
  generation_ = zip.find(full_name("data/weights/{}_weights_config.json")) != nullptr ? Generation::raw : Generation::pickled;
}

std::string Archive::full_name(std::string_view name) const {
  const std::size_t place = name.find("{}");
  if (place == std::string_view::npos) return prefix_ + std::string(name);
  return prefix_ + std::string(name.substr(0, place)) + model_name_ + std::string(name.substr(place + 2));
}

std::string Archive::label_of(std::string_view name) const { return label_ + ": " + full_name(name); }

std::optional<Record> Archive::find(std::string_view name, bool checked) const {
  const base::ZipEntry* const entry = records_.zip().find(full_name(name));
  return entry == nullptr ? std::nullopt : std::optional(records_.content(*entry, checked));
}

Record Archive::at(std::string_view name, bool checked) const {
  auto record = find(name, checked);
  REPRISE_CHECK(record.has_value(), FormatError, "[import/pt2] {}: there is no record '{}'", label_, full_name(name));
  return *std::move(record);
}

Record Archive::model() const { return at(generation_ == Generation::flat ? kFlatModel : "models/{}.json", true); }

Tensor& Storages::storage(const Record& record, DType dtype) {
  auto [place, added] = storages_.try_emplace({record.bytes.data(), dtype});
  auto& [tensor, kept] = place->second;
  if (!added) return tensor;
  kept = record;  // its address is the key
  const std::int64_t count[] = {static_cast<std::int64_t>(record.bytes.size() / item_size(dtype))};
  void* const address = const_cast<std::byte*>(record.bytes.data());  // read only: who changes state copies it first
  if (reinterpret_cast<std::uintptr_t>(address) % item_size(dtype) == 0) {
    tensor = Tensor::from_blob(address, count, dtype, {}, Device::cpu(), [owner = record.owner] {});
  } else {
    tensor = Tensor::empty(count, dtype);
    std::memcpy(tensor.data(), address, tensor.nbytes());
  }
  return tensor;
}

Tensor Storages::tensor(const Record& record, DType dtype, const Strided& layout, const std::string& label) {
  const auto& [sizes, strides, offset] = layout;
  REPRISE_CHECK(sizes.size() == strides.size() && sizes.size() <= kMaxRank, FormatError, "[import/weights] {}: it has {} sizes and {} strides", label,
                sizes.size(), strides.size());
  std::int64_t count = 1, last = offset;
  bool fits = offset >= 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::int64_t reach = 0;
    fits = fits && sizes[i] >= 0 && strides[i] >= 0 && !__builtin_mul_overflow(count, sizes[i], &count) && count <= kMaxElements;
    fits = fits && (sizes[i] == 0 || !(__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) || __builtin_add_overflow(last, reach, &last)));
  }
  REPRISE_CHECK(fits, FormatError, "[import/weights] {}: sizes, strides or offset are negative or beyond 2^40 elements", label);
  if (count == 0) return Tensor::empty(sizes, dtype);
  const auto available = static_cast<std::int64_t>(record.bytes.size() / item_size(dtype));
  REPRISE_CHECK(last < available, FormatError, "[import/weights] {}: the tensor reaches outside its storage (got {} elements of {}, want {})", label, available,
                name(dtype), last + 1);
  return storage(record, dtype).as_strided(sizes, strides, offset);
}

}  // namespace reprise::import
