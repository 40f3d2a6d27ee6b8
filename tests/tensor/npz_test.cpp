#include "tensor/npz.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::tensor {
namespace {

using testing_support::message_of;
using testing_support::read_file;
using testing_support::TempDir;
using Sizes = std::vector<std::int64_t>;

std::filesystem::path data(std::string_view file) { return std::filesystem::path(REPRISE_TEST_MODELS) / ".." / "tensor" / "data" / file; }

std::map<std::string, Tensor> load(const std::filesystem::path& path) {
  const auto arrays = load_npz(path);
  return {arrays.begin(), arrays.end()};
}

std::vector<double> values(const Tensor& t) {
  const Tensor d = t.to(DType::f64).contiguous();
  return {d.data_as<double>(), d.data_as<double>() + d.numel()};
}

std::vector<double> ramp(int n) {
  std::vector<double> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0.0);
  return v;
}

class ReadNpz : public testing::TestWithParam<const char*> {};

TEST_P(ReadNpz, WhatNumpyWrote) {
  auto arrays = load(data(GetParam()));
  EXPECT_EQ(arrays.size(), 19u);
  for (const char* type : {"uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "uint16", "uint32", "uint64"}) {
    const Tensor& t = arrays[type];
    EXPECT_EQ(t.dtype(), parse_dtype(type));
    EXPECT_EQ(t.sizes(), (Sizes{2, 3}));
    EXPECT_EQ(values(t), ramp(6)) << type;
  }
  EXPECT_EQ(values(arrays["bool"]), (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(arrays["scalar"].rank(), 0);
  EXPECT_EQ(values(arrays["scalar"]), std::vector<double>{2.5});
  EXPECT_EQ(arrays["empty"].sizes(), (Sizes{0, 4}));
  EXPECT_EQ(arrays["fortran"].sizes(), (Sizes{2, 3, 4}));
  EXPECT_EQ(values(arrays["fortran"]), ramp(24));
  EXPECT_EQ(values(arrays["big_endian"]), ramp(3));
  EXPECT_EQ(values(arrays["big_endian_f8"]), ramp(3));
  EXPECT_EQ(values(arrays["vector"]), ramp(5));
  const std::vector<double> special = values(arrays["special"]);
  EXPECT_TRUE(std::isnan(special[0]) && std::isinf(special[1]) && special[2] < 0 && std::signbit(special[3]));
}

INSTANTIATE_TEST_SUITE_P(Files, ReadNpz, testing::Values("stored.npz", "deflated.npz"));

TEST(ReadNpz, RefusesByName) {
  const auto file = base::MappedFile::open(data("refused.npz"));
  const base::ZipReader zip(file->bytes(), "refused.npz");
  EXPECT_EQ(zip.entries().size(), 6u);
  for (const auto& entry : zip.entries()) {
    const std::string message = message_of<FormatError>([&] { parse_npy(zip.bytes(entry), entry.name); });
    EXPECT_NE(message.find(entry.name), std::string::npos);
    EXPECT_NE(message.find("not supported"), std::string::npos) << message;
  }
  const std::string message = message_of<FormatError>([] { load_npz(data("refused.npz")); });
  EXPECT_NE(message.find("refused.npz: array 'complex'"), std::string::npos) << message;
  EXPECT_NE(message.find("complex"), std::string::npos);
}

TEST(ReadNpy, AllVersions) {
  for (const char* file : {"version1.npy", "version2.npy", "version3.npy"}) EXPECT_EQ(values(load_npy(data(file))), ramp(6)) << file;
}

base::Bytes as_bytes(const std::string& s) { return std::as_bytes(std::span(s)); }

TEST(ReadNpy, TruncatedAnywhere) {
  const std::string whole = read_file(data("version1.npy"));
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(parse_npy(as_bytes(whole.substr(0, n)), "x"), FormatError) << n;
}

TEST(ReadNpz, TruncatedAnywhere) {
  const std::string whole = read_file(data("deflated.npz"));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::string part = whole.substr(0, n);
    EXPECT_THROW(parse_npz(as_bytes(part), "x"), FormatError) << n;
  }
}

/// Never anything but a result or a FormatError.
TEST(ReadNpz, EveryByteChanged) {
  for (const char* name : {"stored.npz", "version1.npy"}) {
    const std::string whole = read_file(data(name));
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const char value : {'\x00', '\xff', '\x7f', '9'}) {
        std::string changed = whole;
        changed[at] = value;
        try {
          if (changed.starts_with("PK")) {
            parse_npz(as_bytes(changed), "x", {.check_crc = false});
          } else {
            parse_npy(as_bytes(changed), "x");
          }
        } catch (const FormatError&) {
        }
      }
    }
  }
}

std::string npy_with(const std::string& header, std::size_t data_bytes) {
  std::string out = "\x93NUMPY\x01";
  out += '\0';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  return out + header + std::string(data_bytes, 'x');
}

TEST(ReadNpy, HostileHeaders) {
  const auto refused = [](const std::string& header) { EXPECT_THROW(parse_npy(as_bytes(npy_with(header, 64)), "x"), FormatError) << header; };
  const auto with_shape = [](const std::string& shape) { return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }"; };
  EXPECT_EQ(parse_npy(as_bytes(npy_with(with_shape("(16,)"), 64)), "x").numel(), 16);
  refused(with_shape("(17,)"));
  refused(with_shape("(1000000000000, 1000000000000)"));
  refused(with_shape("(9223372036854775807, 2)"));
  refused(with_shape("(99999999999999999999,)"));
  refused(with_shape("(-1,)"));
  refused(with_shape("(4294967296, 4294967296, 0, -1)"));
  refused(with_shape("(16"));
  refused(with_shape("16"));
  std::string deep = "(";
  for (int i = 0; i < 33; ++i) deep += "1, ";
  refused(with_shape(deep + ")"));
  refused("{}");
  refused("");
  refused("{'descr': '<f4', 'shape': (1,), }");
  refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }");
  refused("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,), }");
  refused("{'descr': 'f4', 'fortran_order': False, 'shape': (1,), }");
  refused("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }");
}

TEST(ReadNpy, BooleansAreNormalized) {
  const std::string bytes = npy_with("{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }", 4);
  const Tensor t = parse_npy(as_bytes(bytes), "x");
  EXPECT_EQ(t.data_as<std::uint8_t>()[0], 1);
}

TEST(WriteNpz, RoundTrip) {
  const TempDir dir;
  std::vector<NamedTensor> arrays;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto type = static_cast<DType>(i);
    const Tensor t = Tensor::zeros(Sizes{3, 4}, DType::f64);
    for (int k = 0; k < 12; ++k) t.data_as<double>()[k] = k;
    arrays.emplace_back(std::string(name(type)), t.to(type).as_strided(Sizes{4, 3}, Sizes{1, 4}));
  }
  arrays.emplace_back("scalar", Tensor::zeros(Sizes{}, DType::i64));
  arrays.emplace_back("none", Tensor::zeros(Sizes{2, 0}, DType::i64));
  save_npz(dir / "a.npz", arrays);
  const auto back = load_npz(dir / "a.npz");
  ASSERT_EQ(back.size(), arrays.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    const auto& [name, tensor] = arrays[i];
    EXPECT_EQ(back[i].first, name);
    EXPECT_EQ(back[i].second.dtype(), tensor.dtype() == DType::bf16 ? DType::f32 : tensor.dtype());
    EXPECT_EQ(back[i].second.sizes(), tensor.sizes());
    EXPECT_EQ(values(back[i].second), values(tensor)) << name;
  }
}

TEST(WriteNpy, IsWhatNumpyWrites) {
  const TempDir dir;
  save_npy(dir / "a.npy", load_npy(data("version1.npy")));
  EXPECT_EQ(read_file(dir / "a.npy"), read_file(data("version1.npy")));
}

TEST(WriteNpz, FailsByName) {
  const TempDir dir;
  const std::vector<NamedTensor> arrays = {{"a", Tensor::zeros(Sizes{100000}, DType::f32)}};
  EXPECT_NE(message_of<WriteError>([&] { save_npz("/dev/full", arrays); }).find("/dev/full"), std::string::npos);
  EXPECT_NE(message_of<WriteError>([&] {
              save_npz(dir / "no", arrays);
              save_npz(dir / "no/such/file.npz", arrays);
            }).find("file.npz"),
            std::string::npos);
  EXPECT_THROW(save_npz(dir.path(), arrays), WriteError);
  EXPECT_THROW(save_npy("/dev/full", arrays[0].second), WriteError);
}

TEST(ReadNpz, FilesThatAreNot) {
  const TempDir dir;
  EXPECT_NE(message_of<FormatError>([&] { load_npz(dir / "missing.npz"); }).find("missing.npz"), std::string::npos);
  EXPECT_THROW(load_npz(dir.path()), FormatError);
  EXPECT_THROW(load_npz(dir.write("empty.npz", "")), FormatError);
  EXPECT_THROW(load_npz(dir.write("text.npz", "hello")), FormatError);
}

}  // namespace
}  // namespace reprise::tensor
