#include "reprise/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reprise/error.h"
#include "temp_dir.h"
#include "tensor/dlpack.h"
#include "tensor/strided_copy.h"

namespace reprise {
namespace {

using testing_support::message_of;
using Sizes = std::vector<std::int64_t>;

Tensor ramp(const Sizes& sizes) {
  Tensor t = Tensor::empty(sizes, DType::f32);
  std::iota(t.data_as<float>(), t.data_as<float>() + t.numel(), 0.0f);
  return t;
}

template <class T>
std::vector<T> values(const Tensor& t) {
  const Tensor c = t.contiguous();
  return {c.data_as<T>(), c.data_as<T>() + c.numel()};
}

TEST(DType, NamesRoundTrip) {
  for (int i = 0; i < kDTypeCount; ++i) EXPECT_EQ(parse_dtype(name(static_cast<DType>(i))), static_cast<DType>(i));
  EXPECT_EQ(parse_dtype("float32"), DType::f32);
  EXPECT_EQ(parse_dtype("torch.bfloat16"), DType::bf16);
  EXPECT_EQ(parse_dtype("half"), DType::f16);
  EXPECT_THROW(parse_dtype("complex64"), InvalidArgument);
  EXPECT_THROW(parse_dtype(""), InvalidArgument);
}

TEST(Device, NamesRoundTrip) {
  for (const Device d : {Device::cpu(), Device::cpu(1), Device::cuda(), Device::cuda(7)}) EXPECT_EQ(Device::parse(d.str()), d);
  EXPECT_EQ(Device::parse("cuda"), Device::cuda(0));
  for (const char* bad : {"", "gpu", "cpu:", "cpu:x", "cpu:-1", "cpu:1x", "cuda:99999999999", "CPU"}) EXPECT_THROW(Device::parse(bad), InvalidArgument) << bad;
}

TEST(Tensor, EmptyIsAlignedAndContiguous) {
  const Tensor t = Tensor::empty(Sizes{2, 3, 4}, DType::f16);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data()) % 64, 0u);
  EXPECT_EQ(t.strides(), (Sizes{12, 4, 1}));
  EXPECT_EQ(t.numel(), 24);
  EXPECT_EQ(t.nbytes(), 48u);
  EXPECT_TRUE(t.is_contiguous());
  EXPECT_EQ(t.size(-1), 4);
  EXPECT_THROW(static_cast<void>(t.size(3)), InvalidArgument);
}

TEST(Tensor, NoElementsAndNoDimensions) {
  const Tensor none = Tensor::zeros(Sizes{0, 5}, DType::f32), scalar = Tensor::zeros(Sizes{}, DType::f64);
  EXPECT_TRUE(none.defined() && none.is_contiguous());
  EXPECT_EQ(none.numel(), 0);
  EXPECT_EQ(none.contiguous().sizes(), (Sizes{0, 5}));
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(*scalar.data_as<double>(), 0.0);
  EXPECT_FALSE(Tensor().defined());
  EXPECT_EQ(Tensor().numel(), 0);
  EXPECT_THROW(static_cast<void>(Tensor().clone()), InvalidArgument);
}

TEST(Tensor, RefusesImpossibleSizes) {
  EXPECT_THROW(Tensor::empty(Sizes{-1}, DType::f32), InvalidArgument);
  EXPECT_THROW(Tensor::empty(Sizes{0, -1}, DType::f32), InvalidArgument);
  EXPECT_THROW(Tensor::empty(Sizes{INT64_MAX, 2}, DType::f32), InvalidArgument);
  EXPECT_THROW(Tensor::empty(Sizes{INT64_MAX}, DType::f64), OutOfMemory);
  EXPECT_THROW(Tensor::empty(Sizes{std::int64_t{1} << 50}, DType::u8), OutOfMemory);
  EXPECT_THROW(Tensor::empty(Sizes{1}, DType::f32, Device::cuda()), DeviceError);
  EXPECT_NO_THROW(Tensor::empty(Sizes{INT64_MAX, 0, INT64_MAX}, DType::f32));
}

TEST(Tensor, BlobReleasesOnce) {
  float data[6] = {0, 1, 2, 3, 4, 5};
  int released = 0;
  {
    const Tensor t = Tensor::from_blob(data, Sizes{2, 3}, DType::f32, {}, Device::cpu(), [&] { ++released; });
    const Tensor view = t.as_strided(Sizes{3}, Sizes{1}, 3);
    EXPECT_EQ(view.data(), data + 3);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(Tensor, BlobChecks) {
  float data[6] = {};
  EXPECT_THROW(Tensor::from_blob(data, Sizes{2, 3}, DType::f32, Sizes{3, -1}), InvalidArgument);
  EXPECT_THROW(Tensor::from_blob(data, Sizes{2, 3}, DType::f32, Sizes{3}), InvalidArgument);
  EXPECT_THROW(Tensor::from_blob(nullptr, Sizes{2, 3}, DType::f32), InvalidArgument);
  EXPECT_THROW(Tensor::from_blob(data, Sizes{3, 3}, DType::f32, Sizes{INT64_MAX, 1}), InvalidArgument);
  EXPECT_TRUE(Tensor::from_blob(nullptr, Sizes{0}, DType::f32).defined());
}

TEST(Tensor, ViewsStayInside) {
  const Tensor t = ramp({2, 3});
  EXPECT_EQ(values<float>(t.as_strided(Sizes{3, 2}, Sizes{1, 3})), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values<float>(t.as_strided(Sizes{2, 2}, Sizes{0, 1}, 4)), (std::vector<float>{4, 5, 4, 5}));
  EXPECT_NO_THROW(t.as_strided(Sizes{0, 100}, Sizes{1, 1}, 6));
  const auto refused = [&](const Sizes& sizes, const Sizes& strides, std::int64_t offset) {
    EXPECT_NE(message_of<InvalidArgument>([&] { static_cast<void>(t.as_strided(sizes, strides, offset)); }).find("[tensor/"), std::string::npos);
  };
  refused({7}, {1}, 0);
  refused({6}, {1}, 1);
  refused({2}, {6}, 0);
  refused({1}, {1}, -1);
  refused({1}, {1}, 7);
  refused({2}, {INT64_MAX}, 1);
  refused({3, 3}, {INT64_MAX / 2, INT64_MAX / 2}, 0);
  refused({1}, {1, 1}, 0);
  EXPECT_THROW(static_cast<void>(t.as_strided(Sizes{3}, Sizes{1}, 3).as_strided(Sizes{4}, Sizes{1})), InvalidArgument);
}

TEST(Tensor, IsContiguousIgnoresSizeOne) {
  const Tensor t = ramp({2, 3});
  EXPECT_TRUE(t.as_strided(Sizes{1, 3}, Sizes{17, 1}).is_contiguous());
  EXPECT_FALSE(t.as_strided(Sizes{3, 2}, Sizes{1, 3}).is_contiguous());
  EXPECT_FALSE(t.as_strided(Sizes{2, 2}, Sizes{3, 1}).is_contiguous());
}

/// Every permutation and stride pattern against index arithmetic.
TEST(StridedCopy, MatchesIndexing) {
  const Tensor t = ramp({2, 3, 4, 5});
  Sizes order = {0, 1, 2, 3};
  do {
    Sizes sizes, strides;
    for (std::int64_t d : order) {
      sizes.push_back(t.size(d));
      strides.push_back(t.strides()[static_cast<std::size_t>(d)]);
    }
    const std::vector<float> got = values<float>(t.as_strided(sizes, strides));
    std::size_t at = 0;
    for (std::int64_t a = 0; a < sizes[0]; ++a) {
      for (std::int64_t b = 0; b < sizes[1]; ++b) {
        for (std::int64_t c = 0; c < sizes[2]; ++c) {
          for (std::int64_t d = 0; d < sizes[3]; ++d) {
            ASSERT_EQ(got[at++], static_cast<float>(a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3]));
          }
        }
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(StridedCopy, IntoAStridedDestination) {
  const Tensor dst = Tensor::zeros(Sizes{3, 4}, DType::f32), src = ramp({2, 2});
  tensor::copy_into(dst.as_strided(Sizes{2, 2}, Sizes{2, 4}, 1), src);
  EXPECT_EQ(values<float>(dst), (std::vector<float>{0, 0, 0, 2, 0, 1, 0, 3, 0, 0, 0, 0}));
  EXPECT_THROW(tensor::copy_into(dst, src), InvalidArgument);
  EXPECT_THROW(tensor::copy_into(src, src.to(DType::f64)), InvalidArgument);
}

TEST(StridedCopy, EveryItemSize) {
  for (DType type : {DType::u8, DType::i16, DType::i32, DType::i64}) {
    const Tensor t = ramp({3, 5}).to(type);
    EXPECT_EQ(values<float>(t.as_strided(Sizes{5, 3}, Sizes{1, 5}).contiguous().to(DType::f32)),
              (std::vector<float>{0, 5, 10, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14}));
  }
}

template <class T>
std::vector<T> converted(const std::vector<double>& from, DType by, DType to) {
  auto copy = from;
  const Tensor t = Tensor::from_blob(copy.data(), Sizes{static_cast<std::int64_t>(from.size())}, DType::f64).to(by).to(to);
  return values<T>(t);
}

/// Expected values are PyTorch's on x86.
TEST(Convert, RealsToIntegersAsPyTorch) {
  const double nan = std::nan(""), inf = HUGE_VAL;
  const std::vector<double> x = {300, -1, nan, 1e20, -1e20, inf, 2.9, -2.9, 3e9, 70000};
  constexpr auto kLow32 = INT32_MIN;
  constexpr auto kLow64 = INT64_MIN;
  for (DType by : {DType::f64, DType::f32}) {
    EXPECT_EQ(converted<std::uint8_t>(x, by, DType::u8), (std::vector<std::uint8_t>{44, 255, 0, 0, 0, 0, 2, 254, 0, 112}));
    EXPECT_EQ(converted<std::int8_t>(x, by, DType::i8), (std::vector<std::int8_t>{44, -1, 0, 0, 0, 0, 2, -2, 0, 112}));
    EXPECT_EQ(converted<std::int16_t>(x, by, DType::i16), (std::vector<std::int16_t>{300, -1, 0, 0, 0, 0, 2, -2, 0, 4464}));
    EXPECT_EQ(converted<std::int32_t>(x, by, DType::i32), (std::vector<std::int32_t>{300, -1, kLow32, kLow32, kLow32, kLow32, 2, -2, kLow32, 70000}));
    EXPECT_EQ(converted<std::int64_t>(x, by, DType::i64), (std::vector<std::int64_t>{300, -1, kLow64, kLow64, kLow64, kLow64, 2, -2, 3000000000, 70000}));
    EXPECT_EQ(converted<std::uint8_t>(x, by, DType::boolean), std::vector<std::uint8_t>(10, 1));
  }
  EXPECT_EQ(converted<std::uint32_t>({-1, 3e9, -2.9}, DType::f64, DType::u32), (std::vector<std::uint32_t>{4294967295u, 3000000000u, 4294967294u}));
  EXPECT_EQ(converted<std::uint64_t>({-1, 0x1p63, 1e20, -1e20}, DType::f64, DType::u64), (std::vector<std::uint64_t>{~0ull, 1ull << 63, 0, 1ull << 63}));
}

TEST(Convert, OthersAsPyTorch) {
  EXPECT_EQ(converted<std::uint8_t>({0, -0.0, 0.5, 2}, DType::f64, DType::boolean), (std::vector<std::uint8_t>{0, 0, 1, 1}));
  EXPECT_EQ(converted<std::uint16_t>({1, 65519, 65520, -2}, DType::f64, DType::f16), (std::vector<std::uint16_t>{0x3c00, 0x7bff, 0x7c00, 0xc000}));
  EXPECT_EQ(converted<std::uint16_t>({1, 257}, DType::i32, DType::bf16), (std::vector<std::uint16_t>{0x3f80, 0x4380}));
  EXPECT_EQ(converted<double>({0.1}, DType::f32, DType::f64), std::vector<double>{static_cast<double>(0.1f)});
  EXPECT_EQ(converted<float>({1.5, -3}, DType::bf16, DType::f32), (std::vector<float>{1.5f, -3}));
  EXPECT_EQ(converted<std::int8_t>({300}, DType::i64, DType::i8), std::vector<std::int8_t>{44});
}

TEST(Convert, ReadsStridedTensors) {
  const Tensor t = ramp({2, 3}).as_strided(Sizes{3, 2}, Sizes{1, 3});
  EXPECT_EQ(values<std::int32_t>(t.to(DType::i32)), (std::vector<std::int32_t>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(t.to(DType::f32).data(), t.data());
}

// ---- DLPack

TEST(DLPack, RoundTripSharesStorage) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const Tensor t = Tensor::zeros(Sizes{2, 3}, static_cast<DType>(i)).as_strided(Sizes{3, 1}, Sizes{1, 3}, 1);
    const Tensor back = Tensor::from_dlpack(t.to_dlpack());
    EXPECT_EQ(back.dtype(), t.dtype());
    EXPECT_EQ(back.sizes(), t.sizes());
    EXPECT_EQ(back.strides(), t.strides());
    EXPECT_EQ(back.data(), t.data());
    EXPECT_EQ(back.device(), t.device());
  }
}

TEST(DLPack, ExportKeepsTheStorage) {
  int released = 0;
  float data[4] = {};
  DLManagedTensor* exported = Tensor::from_blob(data, Sizes{4}, DType::f32, {}, Device::cpu(), [&] { ++released; }).to_dlpack();
  EXPECT_EQ(released, 0);
  exported->deleter(exported);
  EXPECT_EQ(released, 1);
}

struct Foreign {
  float data[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  std::int64_t shape[2] = {2, 3};
  std::int64_t strides[2] = {1, 2};
  int deleted = 0;
  DLManagedTensor managed{
      {data, {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, strides, 4}, this, [](DLManagedTensor* m) { ++static_cast<Foreign*>(m->manager_ctx)->deleted; }};
};

TEST(DLPack, ImportTakesOver) {
  Foreign f;
  {
    const Tensor t = Tensor::from_dlpack(&f.managed);
    const Tensor copy = t;
    EXPECT_EQ(values<float>(t), (std::vector<float>{1, 3, 5, 2, 4, 6}));
    EXPECT_EQ(f.deleted, 0);
  }
  EXPECT_EQ(f.deleted, 1);
  f.managed.dl_tensor.strides = nullptr;
  EXPECT_EQ(values<float>(Tensor::from_dlpack(&f.managed)), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  f.managed.deleter = nullptr;
  EXPECT_NO_THROW(Tensor::from_dlpack(&f.managed));
}

TEST(DLPack, RefusedTensorsStayTheCallers) {
  const auto refused = [](auto&& change) {
    Foreign f;
    change(f.managed.dl_tensor, f);
    EXPECT_NE(message_of<InvalidArgument>([&] { Tensor::from_dlpack(&f.managed); }).find("[tensor/"), std::string::npos);
    EXPECT_EQ(f.deleted, 0);
  };
  refused([](DLTensor& t, Foreign&) { t.dtype = {5, 64, 1}; });
  refused([](DLTensor& t, Foreign&) { t.dtype = {kDLFloat, 32, 4}; });
  refused([](DLTensor& t, Foreign&) { t.dtype = {kDLFloat, 128, 1}; });
  refused([](DLTensor& t, Foreign&) { t.device.device_type = static_cast<DLDeviceType>(8); });
  refused([](DLTensor& t, Foreign&) { t.ndim = -1; });
  refused([](DLTensor& t, Foreign&) { t.shape = nullptr; });
  refused([](DLTensor& t, Foreign&) { t.byte_offset = 3; });
  refused([](DLTensor&, Foreign& f) { f.strides[0] = -1; });
  refused([](DLTensor&, Foreign& f) { f.shape[0] = -2; });
  EXPECT_THROW(Tensor::from_dlpack(nullptr), InvalidArgument);
  EXPECT_THROW(static_cast<void>(Tensor().to_dlpack()), InvalidArgument);
}

}  // namespace
}  // namespace reprise
