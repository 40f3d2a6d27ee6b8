// Reading. Format: numpy.lib.format; the header is a Python literal of three known keys.
#include "tensor/npz.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/text.h"
#include "tensor/strided_copy.h"

namespace reprise::tensor {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxRank = 32;
constexpr std::size_t kMaxHeader = 1u << 16;

struct Header {
  DType dtype = DType::f32;
  bool swap_bytes = false;
  bool fortran = false;
  std::vector<std::int64_t> sizes;
};

/// A tiny reader of "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }".
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& label) : text_(text), label_(label) {}

  Header run() {
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !has_descr) {
        has_descr = true;
        descr();
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        header_.fortran = boolean();
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        shape();
      } else {
        fail(fmt::format("unexpected header key '{}'", base::printable(key)));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!has_descr || !has_order || !has_shape) fail("the header lacks descr, fortran_order or shape");
    return header_;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const { REPRISE_FAIL(FormatError, "[tensor/npy] {}: {}", label_, what); }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("bad header ('{}' expected at {})", c, at_));
  }
  std::string_view quoted() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    const std::size_t end = quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string_view::npos;
    if (end == std::string_view::npos) fail(fmt::format("bad header (a text expected at {})", at_));
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }
  bool word(std::string_view w) {
    skip_space();
    if (!text_.substr(at_).starts_with(w)) return false;
    at_ += w.size();
    return true;
  }
  bool boolean() {
    if (word("True")) return true;
    if (!word("False")) fail("fortran_order is neither True nor False");
    return false;
  }

  void descr() {
    if (accept('[')) fail("structured element types are not supported");
    const std::string_view type = quoted();
    const char order = type.empty() ? '\0' : type[0];
    const bool known_order = order == '<' || order == '>' || order == '|' || order == '=';
    const auto dtype = known_order ? element_type(type.substr(1)) : std::nullopt;
    if (!dtype) fail(fmt::format("element type '{}' is not supported{}", base::printable(type), reason(type)));
    header_.dtype = *dtype;
    header_.swap_bytes = order == '>' && std::endian::native == std::endian::little;
  }

  static std::optional<DType> element_type(std::string_view code) {
    constexpr std::pair<std::string_view, DType> kCodes[] = {{"b1", DType::boolean}, {"u1", DType::u8},  {"i1", DType::i8},  {"i2", DType::i16},
                                                             {"i4", DType::i32},     {"i8", DType::i64}, {"f2", DType::f16}, {"f4", DType::f32},
                                                             {"f8", DType::f64},     {"u2", DType::u16}, {"u4", DType::u32}, {"u8", DType::u64}};
    for (const auto& [known, dtype] : kCodes) {
      if (known == code) return dtype;
    }
    return std::nullopt;
  }

  static std::string_view reason(std::string_view type) {
    const char kind = type.size() > 1 ? type[1] : '\0';
    switch (kind) {
      case 'c':
        return " (complex)";
      case 'O':
        return " (Python objects)";
      case 'U':
      case 'S':
        return " (text)";
      case 'M':
      case 'm':
        return " (time)";
      default:
        return "";
    }
  }

  void shape() {
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (error != std::errc{} || size < 0) fail("bad shape");
      at_ = static_cast<std::size_t>(end - text_.data());
      header_.sizes.push_back(size);
      if (header_.sizes.size() > kMaxRank) fail(fmt::format("rank above {}", kMaxRank));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  const std::string& label_;
  std::size_t at_ = 0;
  Header header_;
};

/// Splits the bytes into header text and data.
std::pair<std::string_view, base::Bytes> split(base::Bytes bytes, const std::string& label) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  REPRISE_CHECK(text.size() >= 10 && text.starts_with(kMagic), FormatError, "[tensor/npy] {}: not a .npy array", label);
  const int version = static_cast<unsigned char>(text[6]);
  REPRISE_CHECK(version >= 1 && version <= 3, FormatError, "[tensor/npy] {}: unknown format version (got {})", label, version);
  const std::size_t start = version == 1 ? 10 : 12;
  std::uint32_t length = 0;
  REPRISE_CHECK(text.size() >= start, FormatError, "[tensor/npy] {}: truncated header", label);
  std::memcpy(&length, text.data() + 8, version == 1 ? 2 : 4);
  REPRISE_CHECK(length <= kMaxHeader && length <= text.size() - start, FormatError, "[tensor/npy] {}: truncated header", label);
  return {text.substr(start, length), bytes.subspan(start + length)};
}

void swap_elements(std::byte* data, std::size_t bytes, std::size_t size) {
  for (std::size_t at = 0; at < bytes; at += size) std::reverse(data + at, data + at + size);
}

/// Booleans are stored as any non-zero byte by some writers; C++ wants 1.
void normalize_booleans(const Tensor& t) {
  auto* bytes = t.data_as<std::uint8_t>();
  for (std::int64_t i = 0; i < t.numel(); ++i) bytes[i] = bytes[i] != 0;
}

std::int64_t element_count(const Header& h, const std::string& label) {
  try {
    return checked_numel(h.sizes);
  } catch (const InvalidArgument& e) {
    REPRISE_FAIL(FormatError, "[tensor/npy] {}: bad shape ({})", label, e.what());
  }
}

}  // namespace

Tensor parse_npy(base::Bytes bytes, const std::string& label) {
  const auto [text, data] = split(bytes, label);
  const Header h = HeaderParser(text, label).run();
  const std::size_t item = item_size(h.dtype);
  const auto elements = static_cast<std::size_t>(element_count(h, label));
  REPRISE_CHECK(elements <= data.size() / item, FormatError, "[tensor/npy] {}: truncated data (got {} bytes, want {} elements of {})", label, data.size(),
                elements, name(h.dtype));
  Tensor t = Tensor::empty(h.sizes, h.dtype);
  if (h.fortran && t.rank() > 1) {
    // Column-major is row-major over the sizes in reverse.
    std::vector<std::int64_t> strides = contiguous_strides(std::vector<std::int64_t>(h.sizes.rbegin(), h.sizes.rend()));
    std::reverse(strides.begin(), strides.end());
    strided_copy(t.data(), t.strides(), data.data(), strides, h.sizes, item);
  } else if (elements > 0) {
    std::memcpy(t.data(), data.data(), elements * item);
  }
  if (h.swap_bytes) swap_elements(t.data_as<std::byte>(), elements * item, item);
  if (h.dtype == DType::boolean) normalize_booleans(t);
  return t;
}

Tensor load_npy(const std::filesystem::path& path) { return parse_npy(base::MappedFile::open(path)->bytes(), path.string()); }

std::vector<NamedTensor> parse_npz(base::Bytes archive, const std::string& label, base::ZipOptions options) {
  const base::ZipReader zip(archive, label, options);
  std::vector<NamedTensor> out;
  for (const base::ZipEntry& entry : zip.entries()) {
    std::string array = entry.name;
    if (array.ends_with(".npy")) array.resize(array.size() - 4);
    const std::string place = fmt::format("{}: array '{}'", label, base::printable(array));
    if (entry.deflated) {
      out.emplace_back(std::move(array), parse_npy(zip.inflate(entry), place));
    } else {
      out.emplace_back(std::move(array), parse_npy(zip.bytes(entry), place));
    }
  }
  return out;
}

std::vector<NamedTensor> load_npz(const std::filesystem::path& path) {
  const auto file = base::MappedFile::open(path);
  return parse_npz(file->bytes(), path.string());
}

}  // namespace reprise::tensor
