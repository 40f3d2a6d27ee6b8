#include "tensor/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::tensor {
namespace {

using testing_support::message_of;
using testing_support::read_file;
using testing_support::TempDir;
using Sizes = std::vector<std::int64_t>;

base::Bytes as_bytes(const std::string& s) { return std::as_bytes(std::span(s)); }

std::string file_with(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data_bytes, '\x01');
}

TEST(Safetensors, RoundTrip) {
  const TempDir dir;
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto type = static_cast<DType>(i);
    const Tensor t = Tensor::zeros(Sizes{2, 3}, DType::f32);
    for (int k = 0; k < 6; ++k) t.data_as<float>()[k] = static_cast<float>(k);
    tensors.emplace_back("t." + std::string(name(type)), t.to(type).as_strided(Sizes{3, 2}, Sizes{1, 3}));
  }
  tensors.emplace_back("none", Tensor::zeros(Sizes{0, 7}, DType::f64));
  tensors.emplace_back("scalar", Tensor::zeros(Sizes{}, DType::i8));
  save_safetensors(dir / "a.safetensors", tensors, {{"format", "pt"}});
  const Safetensors back = load_safetensors(dir / "a.safetensors");
  EXPECT_EQ(back.metadata.at("format"), "pt");
  ASSERT_EQ(back.tensors.size(), tensors.size());
  for (const auto& [name, t] : tensors) {
    const auto found = std::find_if(back.tensors.begin(), back.tensors.end(), [&wanted = name](const auto& b) { return b.first == wanted; });
    ASSERT_NE(found, back.tensors.end());
    EXPECT_EQ(found->second.dtype(), t.dtype());
    EXPECT_EQ(found->second.sizes(), t.sizes());
    EXPECT_EQ(std::memcmp(found->second.data(), t.contiguous().data(), t.nbytes()), 0) << name;
  }
}

TEST(Safetensors, WhatTheReferenceLibraryWrote) {
  const Safetensors file = load_safetensors(std::filesystem::path(REPRISE_TEST_MODELS) / ".." / "tensor" / "data" / "small.safetensors");
  std::map<std::string, Tensor> t(file.tensors.begin(), file.tensors.end());
  EXPECT_EQ(file.metadata.at("format"), "np");
  EXPECT_EQ(t.size(), 4u);
  EXPECT_EQ(t["weight"].sizes(), (Sizes{2, 3}));
  EXPECT_EQ(t["weight"].data_as<float>()[5], 5.0f);
  EXPECT_EQ(t["steps"].rank(), 0);
  EXPECT_EQ(*t["steps"].data_as<std::int64_t>(), 7);
  EXPECT_EQ(t["mask"].dtype(), DType::boolean);
  EXPECT_EQ(t["half"].to(DType::f32).data_as<float>()[2], 2.0f);
}

TEST(Safetensors, AlignedDataIsMapped) {
  const TempDir dir;
  save_safetensors(dir / "a", std::vector<NamedTensor>{{"x", Tensor::zeros(Sizes{4}, DType::f32)}});
  std::uint64_t header = 0;
  std::memcpy(&header, read_file(dir / "a").data(), 8);
  const Tensor x = load_safetensors(dir / "a").tensors[0].second;
  std::filesystem::remove(dir / "a");
  EXPECT_EQ(x.data_as<float>()[3], 0.0f);  // the mapping lives with the tensor
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.data()) % 4096, 8 + header);
}

TEST(Safetensors, RefusesByName) {
  const auto refused = [](const std::string& header, const char* reason) {
    const std::string message = message_of<FormatError>([&] { parse_safetensors(as_bytes(file_with(header, 16)), "m.safetensors"); });
    EXPECT_NE(message.find("m.safetensors"), std::string::npos) << message;
    EXPECT_NE(message.find(reason), std::string::npos) << message;
  };
  EXPECT_EQ(parse_safetensors(as_bytes(file_with(R"({"x":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16)), "m").tensors.size(), 1u);
  refused(R"({"x":{"dtype":"F32","shape":[2,2],"data_offsets":[0,20]}})", "outside");
  refused(R"({"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,16]}})", "another size");
  refused(R"({"x":{"dtype":"F32","shape":[4],"data_offsets":[1,16]}})", "another size");
  refused(R"({"x":{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}})", "bad shape");
  refused(R"({"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}})", "bad shape");
  refused(R"({"x":{"dtype":"C64","shape":[2],"data_offsets":[0,16]}})", "'C64' is not supported");
  refused(R"({"x":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", "bad data_offsets");
  refused(R"({"x":{"dtype":"F32","shape":[4],"data_offsets":[0]}})", "bad data_offsets");
  refused(R"({"x":{"dtype":"F32","shape":[4]}})", "x has no member 'data_offsets'");
  refused(R"({"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"y":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}})", "overlaps");
  refused(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}})", "twice");
  refused("[]", "wrong type");
  refused("{", "not valid JSON");
}

TEST(Safetensors, TruncatedAnywhere) {
  const std::string whole = file_with(R"({"x":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16);
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(parse_safetensors(as_bytes(whole.substr(0, n)), "x"), FormatError) << n;
  EXPECT_THROW(parse_safetensors(as_bytes(std::string(8, '\xff') + whole), "x"), FormatError);
}

TEST(Safetensors, FailsToWriteByName) {
  const std::vector<NamedTensor> tensors = {{"x", Tensor::zeros(Sizes{4}, DType::f32)}};
  EXPECT_NE(message_of<WriteError>([&] { save_safetensors("/dev/full", tensors); }).find("/dev/full"), std::string::npos);
}

}  // namespace
}  // namespace reprise::tensor
