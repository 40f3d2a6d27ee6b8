// Layout: u64 header length, that many bytes of JSON {name: {dtype, shape, data_offsets: [begin, end]}}, data. Offsets count from the data's start.
#include "tensor/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "tensor/strided_copy.h"

namespace reprise::tensor {
namespace {

constexpr std::size_t kLengthField = 8;
constexpr std::size_t kMaxJson = 100'000'000;  // the reference implementation's limit
constexpr std::array<std::string_view, kDTypeCount> kTypes = {"BOOL", "U8", "I8", "I16", "I32", "I64", "F16", "BF16", "F32", "F64", "U16", "U32", "U64"};

struct Entry {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> sizes;
  std::uint64_t begin, end;
};

class Parser {
 public:
  Parser(base::Bytes bytes, const std::string& label, std::shared_ptr<const base::MappedFile> file) : bytes_(bytes), label_(label), file_(std::move(file)) {}

  Safetensors run() {
    const base::JsonDocument header(header_text(), label_);
    Safetensors out;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.root().members()) {
      if (name == "__metadata__") {
        for (const auto& [key, text] : value.members()) out.metadata.emplace(key, text.as_string());
      } else {
        entries.push_back(entry(std::string(name), value));
      }
    }
    check_ranges(entries);
    for (const Entry& e : entries) out.tensors.emplace_back(e.name, tensor(e));
    return out;
  }

 private:
  [[noreturn]] void fail(std::string_view name, std::string_view what) const {
    REPRISE_FAIL(FormatError, "[tensor/safetensors] {}: tensor '{}': {}", label_, base::printable(name), what);
  }

  std::string_view header_text() {
    std::uint64_t length = 0;
    const bool has_prefix = bytes_.size() >= kLengthField;
    if (has_prefix) std::memcpy(&length, bytes_.data(), kLengthField);
    REPRISE_CHECK(has_prefix && length <= kMaxJson && length <= bytes_.size() - kLengthField, FormatError,
                  "[tensor/safetensors] {}: not a safetensors file, or truncated (header of {} bytes in a file of {})", label_, length, bytes_.size());
    data_ = bytes_.subspan(kLengthField + length);
    return {reinterpret_cast<const char*>(bytes_.data()) + kLengthField, length};
  }

  Entry entry(std::string name, const base::JsonValue& value) const {
    const std::string_view code = value.at("dtype").as_string();
    const auto* type = std::find(kTypes.begin(), kTypes.end(), code);
    if (type == kTypes.end()) fail(name, fmt::format("element type '{}' is not supported", base::printable(code)));
    const std::vector<std::int64_t> offsets = value.at("data_offsets").as_ints();
    if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0]) fail(name, "bad data_offsets");
    Entry e{std::move(name), static_cast<DType>(type - kTypes.begin()), value.at("shape").as_ints(), static_cast<std::uint64_t>(offsets[0]),
            static_cast<std::uint64_t>(offsets[1])};
    check_size(e);
    return e;
  }

  void check_size(const Entry& e) const {
    if (e.end > data_.size()) fail(e.name, fmt::format("the data lies outside the file (got end {} of {})", e.end, data_.size()));
    std::int64_t elements = 0;
    try {
      elements = checked_numel(e.sizes);
    } catch (const InvalidArgument&) {
      fail(e.name, "bad shape");
    }
    const std::uint64_t item = item_size(e.dtype), bytes = e.end - e.begin;
    if (bytes % item != 0 || bytes / item != static_cast<std::uint64_t>(elements)) {
      fail(e.name, fmt::format("the data has another size than the shape (got {} bytes, want {} elements of {})", bytes, elements, reprise::name(e.dtype)));
    }
  }

  /// Sorts by place. The format allows neither overlaps nor names that appear twice.
  void check_ranges(std::vector<Entry>& entries) const {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
    for (std::size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].name == entries[i - 1].name) fail(entries[i].name, "the name appears twice");
    }
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    for (std::size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].begin < entries[i - 1].end) fail(entries[i].name, "overlaps another tensor");
    }
  }

  Tensor tensor(const Entry& e) const {
    const std::byte* data = data_.data() + e.begin;
    const bool aligned = reinterpret_cast<std::uintptr_t>(data) % item_size(e.dtype) == 0;
    if (file_ && aligned && e.end > e.begin) {
      return Tensor::from_blob(const_cast<std::byte*>(data), e.sizes, e.dtype, {}, Device::cpu(), [file = file_] {});
    }
    Tensor t = Tensor::empty(e.sizes, e.dtype);
    if (e.end > e.begin) std::memcpy(t.data(), data, e.end - e.begin);
    return t;
  }

  base::Bytes bytes_, data_;
  const std::string& label_;
  std::shared_ptr<const base::MappedFile> file_;  // null: tensors own copies
};

}  // namespace

Safetensors parse_safetensors(base::Bytes bytes, const std::string& label) { return Parser(bytes, label, nullptr).run(); }

Safetensors load_safetensors(const std::filesystem::path& path) {
  const auto file = base::MappedFile::open(path);
  const std::string label = path.string();
  return Parser(file->bytes(), label, file).run();
}

void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors, const std::map<std::string, std::string>& metadata) {
  base::JsonWriter json;
  json.begin_object();
  if (!metadata.empty()) {
    json.key("__metadata__").begin_object();
    for (const auto& [key, text] : metadata) json.field(key, text);
    json.end_object();
  }
  std::uint64_t at = 0;
  for (const auto& [tensor_name, t] : tensors) {
    const std::uint64_t end = at + t.nbytes();
    json.key(tensor_name).begin_object().field("dtype", kTypes[static_cast<std::size_t>(t.dtype())]).key("shape").values(t.sizes());
    json.key("data_offsets").begin_array().value(at).value(end).end_array().end_object();
    at = end;
  }
  json.end_object();
  std::string header = json.take();
  header.append((8 - header.size() % 8) % 8, ' ');  // so that the data is aligned
  const std::uint64_t length = header.size();
  base::AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const auto& [tensor_name, t] : tensors) {
    const Tensor c = t.contiguous();
    file.write(base::Bytes(c.data_as<const std::byte>(), c.nbytes()));
  }
  file.commit();
}

}  // namespace reprise::tensor
