#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "tensor/npz.h"

namespace reprise::tensor {
namespace {

constexpr std::size_t kPrefix = 10;     // magic, version 1.0, header length
constexpr std::size_t kAlignment = 64;  // of the data, as NumPy does

std::string_view type_code(DType t) {
  constexpr std::array<std::string_view, kDTypeCount> kCodes = {"|b1", "|u1", "|i1", "<i2", "<i4", "<i8", "<f2", "", "<f4", "<f8", "<u2", "<u4", "<u8"};
  return kCodes[static_cast<std::size_t>(t)];
}

/// A 1-tuple needs its comma.
std::string header_text(const Tensor& t) {
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type_code(t.dtype()), fmt::join(t.sizes(), ", "), t.rank() == 1 ? "," : "");
  const std::size_t unpadded = kPrefix + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  return text + '\n';
}

std::string prefix(const std::string& header) {
  std::string out = "\x93NUMPY\x01";
  out += '\0';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

/// What the file holds: contiguous, of a type that NumPy knows.
Tensor storable(const Tensor& t) { return (t.dtype() == DType::bf16 ? t.to(DType::f32) : t).contiguous(); }

base::Bytes data_of(const Tensor& t) { return {t.data_as<const std::byte>(), t.nbytes()}; }

}  // namespace

void save_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const Tensor t = storable(tensor);
  base::AtomicFile file(path);
  file.write(prefix(header_text(t)));
  file.write(data_of(t));
  file.commit();
}

void save_npz(const std::filesystem::path& path, std::span<const NamedTensor> tensors) {
  base::ZipWriter zip(path);
  for (const auto& [array, tensor] : tensors) {
    const Tensor t = storable(tensor);
    const std::string start = prefix(header_text(t));
    const base::Bytes pieces[] = {std::as_bytes(std::span(start)), data_of(t)};
    zip.add(array + ".npy", pieces);
  }
  zip.finish();
}

}  // namespace reprise::tensor
