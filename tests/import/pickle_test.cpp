#include "import/pt2/pickle.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "import/archives.h"
#include "import/pt2/torch_save.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using import::Pickle;
using testing_support::as_bytes;
using testing_support::make_zip;
using testing_support::message_of;
using Kind = Pickle::Kind;

constexpr std::string_view kProto("\x80\x02", 2);

/// A short text that pushes `s`.
std::string text(std::string_view s) { return std::string("X") + static_cast<char>(s.size()) + std::string(3, '\0') + std::string(s); }
std::string global(std::string_view module, std::string_view name) { return "c" + std::string(module) + "\n" + std::string(name) + "\n"; }
std::string small_int(int value) { return std::string("K") + static_cast<char>(value); }

struct Read {
  explicit Read(std::string body) : bytes(std::string(kProto) + std::move(body)), pickle(as_bytes(bytes), "test.pkl") {}
  [[nodiscard]] const Pickle::Node& root() const { return pickle.at(pickle.root()); }
  [[nodiscard]] const Pickle::Node& item(std::size_t i) const { return pickle.at(root().items.at(i)); }
  std::string bytes;
  Pickle pickle;
};

std::string refusal(const std::string& body) {
  return message_of<FormatError>([&] { Read read(body); });
}

TEST(Pickle, ReadsScalarsOfEveryWidth) {
  const Read read(std::string("(N\x88\x89") + "K\xc8" + std::string("M\x01\x02", 3) + "J\xfe\xff\xff\xff" + std::string("\x8a\x05\x00\x00\x00\x00\x01", 7) +
                  std::string("\x8a\x01\xff", 3) + std::string("\x8a\x00", 2) + std::string("G\x3f\xf8\0\0\0\0\0\0", 9) + text("abc") + "t.");
  ASSERT_EQ(read.root().kind, Kind::tuple);
  ASSERT_EQ(read.root().items.size(), 11u);
  EXPECT_EQ(read.item(0).kind, Kind::none);
  EXPECT_EQ(read.item(1).integer, 1);
  EXPECT_EQ(read.item(2).kind, Kind::boolean);
  const std::int64_t integers[] = {200, 513, -2, std::int64_t{1} << 32, -1, 0};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(read.item(3 + i).integer, integers[i]);
  EXPECT_EQ(read.item(9).real, 1.5);
  EXPECT_EQ(read.item(10).text, "abc");
}

TEST(Pickle, ReadsContainersAndMemo) {
  const Read read(
      "](K\x01K\x02"
      "eq\x02" +
      std::string("r\x05\x01\0\0", 5) +
      "K\x03"
      "a"
      "h\x02" +
      std::string("j\x05\x01\0\0", 5) + "\x87.");
  ASSERT_EQ(read.root().items.size(), 3u);
  EXPECT_EQ(read.root().items[0], read.root().items[1]);
  EXPECT_EQ(read.root().items[1], read.root().items[2]);
  ASSERT_EQ(read.item(0).items.size(), 3u);
  EXPECT_EQ(read.pickle.at(read.item(0).items[2]).integer, 3);
}

TEST(Pickle, FindsKeys) {
  const Read read("}(" + text("a") +
                  "]K\x01"
                  "a" +
                  text("b") +
                  "K\x02"
                  "u" +
                  text("c") + ")s.");
  EXPECT_EQ(read.pickle.at(read.pickle.find(read.pickle.root(), "b").value()).integer, 2);
  EXPECT_EQ(read.pickle.at(read.pickle.find(read.pickle.root(), "a").value()).kind, Kind::list);
  EXPECT_EQ(read.pickle.at(read.pickle.find(read.pickle.root(), "c").value()).kind, Kind::tuple);
  EXPECT_FALSE(read.pickle.find(read.pickle.root(), "d").has_value());
  EXPECT_FALSE(read.pickle.find(*read.pickle.find(read.pickle.root(), "a"), "b").has_value());
}

TEST(Pickle, OrderedDictIsADictAndItsAttributesAreIgnored) {
  const Read read(global("collections", "OrderedDict") + ")R(" + text("w") +
                  "K\x07"
                  "u}b.");
  EXPECT_EQ(read.root().kind, Kind::dict);
  EXPECT_EQ(read.pickle.at(read.pickle.find(read.pickle.root(), "w").value()).integer, 7);
}

TEST(Pickle, ForeignGlobalsAreRefusedByName) {
  EXPECT_EQ(refusal(global("os", "system") + text("echo") + "\x85R."), "[import/pickle] test.pkl: the global 'os.system' is not allowed");
  EXPECT_EQ(refusal(global("builtins", "eval") + "."), "[import/pickle] test.pkl: the global 'builtins.eval' is not allowed");
  EXPECT_EQ(refusal(global("torch", "load") + "."), "[import/pickle] test.pkl: the global 'torch.load' is not allowed");
}

TEST(Pickle, ForeignOpcodesAreRefusedByNumber) {
  for (const char op : std::string("ioP012ILSVTUFdlpg\x81\x82\x83\x84\x8b\x8c\x92\x93\x94\x95\xff")) {
    const std::string message = refusal(std::string(1, op) + "abc\n.");
    EXPECT_EQ(message, fmt::format("[import/pickle] test.pkl: the opcode 0x{:02x} at offset 2 is not allowed", static_cast<unsigned char>(op)));
  }
}

TEST(Pickle, MalformedOnesAreRefused) {
  const std::pair<std::string, const char*> rows[] = {
      {"", "truncated"},
      {"K", "truncated"},
      {std::string("X\xff\xff\xff\xff", 5), "truncated"},
      {"cos", "truncated"},
      {".", "0 values are left"},
      {"NN.", "2 values are left"},
      {"(N.", "are left at the end"},
      {"a.", "a value is missing"},
      {"(K\x01\x85", "truncated"},
      {"K\x01(\x85.", "a value is missing"},
      {"t.", "a mark is missing"},
      {"h\x01.", "a memo entry is missing"},
      {"}K\x01"
       "a.",
       "no list"},
      {"]K\x01K\x02s.", "no dict"},
      {"}(K\x01u.", "no value"},
      {")K\x01R.", "no function"},
      {global("torch", "FloatStorage") + ")R.", "a storage type or dtype is called"},
      {global("collections", "OrderedDict") + "K\x01\x85R.", "made from arguments"},
      {"K\x01}b.", "has none"},
      {std::string("\x8a\x09") + "123456789.", "64 bits"},
      {std::string("\x80\x04") + "N.", "protocol"},
  };
  for (const auto& [body, why] : rows) EXPECT_NE(refusal(body).find(why), std::string::npos) << refusal(body) << " / " << why;
}

/// One megabyte of nested tuples is data like any other; what walks it bounds its depth.
TEST(Pickle, NestingBombsAreRead) {
  std::string body = ")";
  for (int i = 0; i < 1000000; ++i) body += '\x85';
  EXPECT_EQ(Read(body + ".").root().kind, Kind::tuple);
}

/// A call refers to its arguments, so calling often with many costs no more than the bytes that say so.
TEST(Pickle, CallsDoNotCopyTheirArguments) {
  std::string body = global("torch._utils", "_rebuild_parameter") + "q\x01(";
  for (int i = 0; i < 20000; ++i) body += "N";
  body += "tq\x02(";
  for (int i = 0; i < 20000; ++i) body += "h\x01h\x02R";
  const Read read(body + "t\x87.");
  EXPECT_EQ(read.item(2).items.size(), 20000u);
  EXPECT_EQ(read.pickle.at(read.item(2).items[0]).items, std::vector<Pickle::Id>{read.root().items[1]});
}

// ---- archives of torch.save

/// The pickle of one tensor: storage "0" of `type`, with `count` elements and this layout.
std::string tensor_pickle(std::string_view type, int offset, std::string_view sizes, std::string_view strides) {
  const auto tuple = [](std::string_view items) {
    std::string out = "(";
    for (const char c : items) out += small_int(c - '0');
    return out + "t";
  };
  return global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") + global("torch", type) + text("0") + text("cpu") + small_int(6) + "tQ" +
         small_int(offset) + tuple(sizes) + tuple(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}

const std::string kSixFloats(reinterpret_cast<const char*>(std::vector<float>{1, 2, 3, 4, 5, 6}.data()), 24);

struct Saved {
  explicit Saved(const std::string& pickle, std::string storage = kSixFloats, bool deflated = false)
      : bytes(std::make_shared<std::string>(make_zip({{"archive/data.pkl", std::string(kProto) + pickle, deflated},
                                                      {"archive/byteorder", "little"},
                                                      {"archive/data/0", std::move(storage), deflated}}))),
        file({as_bytes(*bytes), bytes}, "test.pt", {}, storages) {}
  [[nodiscard]] Tensor root() const { return file.tensor(file.pickle().root()); }
  std::shared_ptr<std::string> bytes;
  import::Storages storages;
  import::TorchSave file;
};

TEST(TorchSave, RebuildsTensorsAndParameters) {
  for (const bool deflated : {false, true}) {
    const Saved plain(tensor_pickle("FloatStorage", 1, "22", "21") + ".", kSixFloats, deflated);
    EXPECT_EQ(plain.root().sizes(), (std::vector<std::int64_t>{2, 2}));
    EXPECT_EQ(plain.root().data_as<float>()[0], 2.0f);
    EXPECT_EQ(plain.root().strides(), (std::vector<std::int64_t>{2, 1}));
  }
  const std::string inner = tensor_pickle("FloatStorage", 0, "6", "1");
  const Saved parameter(global("torch._utils", "_rebuild_parameter") + inner + "\x88)\x87R.");
  EXPECT_EQ(parameter.root().numel(), 6);
  const Saved with_state(global("torch._utils", "_rebuild_parameter_with_state") + "(" + inner + "\x88)}tR.");
  EXPECT_EQ(with_state.root().numel(), 6);
  const std::string call = inner.substr(0, inner.size() - 1), arguments = call.substr(call.find("(("));
  const Saved with_attributes(global("torch._tensor", "_rebuild_from_type_v2") + "(" + global("torch._utils", "_rebuild_tensor_v2") +
                              global("torch", "Tensor") + arguments + "}tR.");
  EXPECT_EQ(with_attributes.root().data_as<float>()[5], 6.0f);
}

TEST(TorchSave, DTypesFollowTheStorage) {
  const std::pair<const char*, DType> rows[] = {{"DoubleStorage", DType::f64}, {"HalfStorage", DType::f16}, {"BFloat16Storage", DType::bf16},
                                                {"LongStorage", DType::i64},   {"IntStorage", DType::i32},  {"ShortStorage", DType::i16},
                                                {"CharStorage", DType::i8},    {"ByteStorage", DType::u8},  {"BoolStorage", DType::boolean}};
  for (const auto& [type, dtype] : rows) EXPECT_EQ(Saved(tensor_pickle(type, 0, "2", "1") + ".").root().dtype(), dtype) << type;
  EXPECT_NE(message_of<FormatError>([] { (void)Saved(tensor_pickle("ComplexFloatStorage", 0, "2", "1") + ".").root(); }).find("torch.ComplexFloatStorage"),
            std::string::npos);
}

TEST(TorchSave, SharedStoragesStayShared) {
  const Saved saved("(" + tensor_pickle("FloatStorage", 0, "3", "1") + tensor_pickle("FloatStorage", 3, "3", "1") + "t.", kSixFloats, true);
  const auto& items = saved.file.pickle().at(saved.file.pickle().root()).items;
  const Tensor a = saved.file.tensor(items[0]), b = saved.file.tensor(items[1]);
  EXPECT_EQ(a.storage(), b.storage());
  EXPECT_EQ(b.data_as<float>() - a.data_as<float>(), 3);
}

TEST(TorchSave, LayoutsOutsideTheStorageAreRefused) {
  for (const auto& pickle : {tensor_pickle("FloatStorage", 0, "7", "1"), tensor_pickle("FloatStorage", 6, "1", "1"),
                             tensor_pickle("FloatStorage", 0, "23", "41"), tensor_pickle("DoubleStorage", 0, "4", "1")}) {
    const std::string message = message_of<FormatError>([&] { (void)Saved(pickle + ".").root(); });
    EXPECT_NE(message.find("test.pt: storage 0: the tensor reaches outside its storage"), std::string::npos) << message;
  }
  EXPECT_NE(message_of<FormatError>([] { (void)Saved(tensor_pickle("FloatStorage", 0, "7", "") + ".").root(); }).find("1 sizes and 0 strides"),
            std::string::npos);
  EXPECT_EQ(Saved(tensor_pickle("FloatStorage", 0, "0", "1") + ".", "").root().numel(), 0);
}

TEST(TorchSave, MalformedTensorsAreRefused) {
  const std::pair<std::string, const char*> rows[] = {
      {"N.", "no tensor"},
      {global("torch._utils", "_rebuild_tensor_v2") + ")R.", "too few arguments"},
      {global("torch._utils", "_rebuild_tensor_v2") + "(NNNNt" + "R.", "no storage"},
      {global("torch._utils", "_rebuild_parameter") + "N\x85R.", "no tensor"},
      {global("torch._utils", "_rebuild_tensor_v2") + "(" + ")Q" + "K\x01))tR.", "no storage"},
      {global("torch._tensor", "_rebuild_from_type_v2") + "(NNNtR.", "malformed"},
      {global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") + global("torch", "FloatStorage") + text("9") + text("cpu") + "K\x01tQK\x01))tR.",
       "'archive/data/9' is missing"},
  };
  for (const auto& [pickle, why] : rows) {
    const std::string message = message_of<FormatError>([&, p = pickle] { (void)Saved(p).root(); });
    EXPECT_NE(message.find(why), std::string::npos) << message << " / " << why;
  }
}

TEST(TorchSave, OtherArchivesAreRefused) {
  const auto open = [](std::vector<testing_support::ZipMember> members) {
    const std::string zip = make_zip(members);
    import::Storages storages;
    import::TorchSave file({as_bytes(zip), nullptr}, "x.pt", {}, storages);
  };
  EXPECT_NE(message_of<FormatError>([&] { open({{"a", "b"}}); }).find("there is no data.pkl"), std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              open({{"a/data.pkl", std::string(kProto) + "N."}, {"a/byteorder", "big"}});
            }).find("little-endian"),
            std::string::npos);
}

}  // namespace
}  // namespace reprise
