// Files that were cut, changed or made to harm. Each either loads as the original does or is refused with an Error; nothing crashes, hangs or takes more
// memory than the file's size allows (the sanitizer runs of these tests look after the former).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "import/archives.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using testing_support::fingerprint;
using testing_support::generation_path;
using testing_support::make_zip;
using testing_support::read_file;
using testing_support::refusal;
using testing_support::repack;
using testing_support::ZipMember;

/// The smallest file of each generation of archives.
constexpr std::string_view kGenerations[][3] = {{"2.6.0", "2.7.1", ""}, {"2.8.0", "", ""}, {"2.9.1", "2.11.0", "2.13.0"}};

std::string smallest(std::span<const std::string_view> versions) {
  std::string best;
  for (const std::string_view version : versions) {
    if (version.empty()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(generation_path(version, ""))) {
      // Without weights there is less to go wrong: take one that has some.
      const std::string name = entry.path().filename().string();
      if (!name.ends_with(".pt2") || !(name.starts_with("state") || name.starts_with("shared"))) continue;
      if (best.empty() || entry.file_size() < std::filesystem::file_size(best)) best = entry.path().string();
    }
  }
  return read_file(best);
}

/// Fails the test when `bytes` load as something else than `original`, or throw something that is not for files. Sample inputs may get lost.
void expect_same_or_refused(std::string bytes, const ir::Program& original, const std::string& what) {
  try {
    const ir::Program got = testing_support::load(std::move(bytes));
    ir::Program want = original;
    if (got.sample_inputs.empty()) want.sample_inputs.clear();
    EXPECT_TRUE(fingerprint(got) == fingerprint(want)) << what << " loads as another program";
  } catch (const FormatError& e) {
    EXPECT_EQ(e.what()[0], '[') << what;
  } catch (const std::exception& e) {
    ADD_FAILURE() << what << " throws " << e.what();
  }
}

class Hostile : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    file_ = smallest(kGenerations[GetParam()]);
    original_ = testing_support::load(file_);
  }
  std::string file_;
  ir::Program original_;
};

TEST_P(Hostile, TruncationAtEveryOffset) {
  for (std::size_t size = 0; size < file_.size(); ++size) EXPECT_NE(refusal(file_.substr(0, size)), "loaded") << size;
}

/// A number in the structure of a zip archive.
struct Field {
  std::size_t at;
  int width;
};

std::uint64_t get(const std::string& bytes, std::size_t at, int width) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, static_cast<std::size_t>(width));
  return value;
}

void add(std::vector<Field>& fields, std::size_t base, std::initializer_list<Field> more) {
  for (const Field& f : more) fields.push_back({base + f.at, f.width});
}

/// All of them, of the archive in `bytes` from `begin` to `end`: local headers, directory, end records, and extra fields.
std::vector<Field> fields_of(const std::string& bytes, std::size_t begin, std::size_t end) {
  std::vector<Field> fields;
  const std::size_t last = bytes.rfind("PK\x05\x06", end - 4);
  add(fields, last, {{4, 2}, {6, 2}, {8, 2}, {10, 2}, {12, 4}, {16, 4}, {20, 2}});
  if (const std::size_t locator = bytes.rfind("PK\x06\x07", last); locator != std::string::npos && locator >= begin && locator + 20 == last) {
    add(fields, locator, {{4, 4}, {8, 8}, {16, 4}});
    add(fields, begin + get(bytes, locator + 8, 8), {{4, 8}, {16, 4}, {20, 4}, {24, 8}, {32, 8}, {40, 8}, {48, 8}});
  }
  std::size_t at = begin + get(bytes, last + 16, 4);
  for (std::uint64_t i = 0; i < get(bytes, last + 10, 2); ++i) {
    add(fields, at, {{8, 2}, {10, 2}, {16, 4}, {20, 4}, {24, 4}, {28, 2}, {30, 2}, {32, 2}, {34, 2}, {42, 4}});
    const std::size_t local = begin + get(bytes, at + 42, 4);
    add(fields, local, {{6, 2}, {8, 2}, {14, 4}, {18, 4}, {22, 4}, {26, 2}, {28, 2}});
    const std::size_t name = get(bytes, local + 26, 2);
    if (get(bytes, local + 28, 2) >= 4) add(fields, local + 30 + name, {{0, 2}, {2, 2}});
    at += 46 + get(bytes, at + 28, 2) + get(bytes, at + 30, 2) + get(bytes, at + 32, 2);
  }
  return fields;
}

/// Of the file and of the archives of torch.save inside it.
std::vector<Field> all_fields(const std::string& bytes) {
  auto fields = fields_of(bytes, 0, bytes.size());
  const base::ZipReader zip(testing_support::as_bytes(bytes), "test");
  for (const auto& entry : zip.entries()) {
    if (!entry.name.ends_with(".pt") || entry.data.empty()) continue;
    const auto begin = static_cast<std::size_t>(reinterpret_cast<const char*>(entry.data.data()) - bytes.data());
    const auto inner = fields_of(bytes, begin, begin + entry.data.size());
    fields.insert(fields.end(), inner.begin(), inner.end());
  }
  return fields;
}

TEST_P(Hostile, EveryLengthAndOffsetOfTheArchive) {
  const auto fields = all_fields(file_);
  EXPECT_GT(fields.size(), 100u);
  std::mt19937_64 random(7);
  for (const Field& field : fields) {
    const std::uint64_t size = file_.size(), old = get(file_, field.at, field.width),
                        max = field.width == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * field.width)) - 1;
    for (const std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{1}, max, max - 1, max / 2, size, size - 1, size + 1, old - 1, old + 1, old ^ 8, random(), random(), random()}) {
      std::string changed = file_;
      std::memcpy(changed.data() + field.at, &value, static_cast<std::size_t>(field.width));
      expect_same_or_refused(std::move(changed), original_, fmt::format("{:x} in {} bytes at {}", value & max, field.width, field.at));
    }
  }
}

/// Checksums notice any change of what is read; what is not read does not matter.
TEST_P(Hostile, EveryByte) {
  std::mt19937 random(3);
  for (std::size_t at = 0; at < file_.size(); at += 3) {
    std::string changed = file_;
    changed[at] = static_cast<char>(changed[at] ^ (1 + random() % 255));
    expect_same_or_refused(std::move(changed), original_, fmt::format("byte {}", at));
  }
}

TEST_P(Hostile, DeflatedRepackingLoadsTheSame) {
  EXPECT_EQ(fingerprint(testing_support::load(repack(file_, [](ZipMember& m) { m.deflated = true; }))), fingerprint(original_));
  const std::string inner_too = repack(file_, [](ZipMember& m) {
    m.deflated = true;
    if (m.name.ends_with(".pt")) m.content = repack(m.content, [](ZipMember& inner) { inner.deflated = true; });
  });
  EXPECT_EQ(fingerprint(testing_support::load(inner_too)), fingerprint(original_));
}

TEST_P(Hostile, MissingRecordsAreRefused) {
  for (const ZipMember& victim : testing_support::members_of(file_)) {
    const std::string left = repack(file_, [&](ZipMember& m) {
      if (m.name == victim.name) m.name.clear();
    });
    const bool matters = victim.name.find("model.json") != std::string::npos || victim.name.ends_with("program.json") ||
                         victim.name.find("/weights/") != std::string::npos || victim.name.ends_with("state_dict.pt");
    const std::string message = refusal(left);
    EXPECT_TRUE(message.starts_with("[import/") || (!matters && message == "loaded")) << victim.name << ": " << message;
  }
}

/// Without checksums the content itself is at the changer's mercy.
TEST_P(Hostile, ChangedContentsWithoutChecksums) {
  import::Limits limits;
  limits.check_crc = false;
  std::mt19937 random(11);
  int loaded = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string changed = file_;
    for (int k = 0; k < 1 + i % 3; ++k) changed[random() % changed.size()] = static_cast<char>(random());
    loaded += refusal(std::move(changed), limits) == "loaded";
  }
  EXPECT_GT(loaded, 0);
}

std::string generation_name(const testing::TestParamInfo<int>& info) { return info.param == 0 ? "flat" : info.param == 1 ? "pickled" : "raw"; }

INSTANTIATE_TEST_SUITE_P(Generation, Hostile, testing::Values(0, 1, 2), generation_name);

// ---- bombs

std::string with_model(const std::function<void(std::string&)>& change) {
  return repack(read_file(generation_path("2.13.0", "cond.pt2")), [&](ZipMember& m) {
    if (m.name.ends_with("models/model.json")) change(m.content);
  });
}

TEST(Bombs, NestedJson) {
  for (const std::size_t depth : {std::size_t{300}, std::size_t{100000}, std::size_t{5000000}}) {
    const std::string message = refusal(with_model([&](std::string& model) { model = std::string(depth, '['); }));
    EXPECT_NE(message, "loaded");
    EXPECT_NE(refusal(with_model([&](std::string& model) { model = R"({"a": )" + std::string(depth, '[') + std::string(depth, ']') + "}"; })), "loaded");
  }
}

TEST(Bombs, NestedTreeSpecs) {
  std::string tree;
  for (int i = 0; i < 5000; ++i) tree += R"({\"type\": \"builtins.tuple\", \"context\": \"null\", \"children_spec\": [)";
  const std::string message = refusal(with_model([&](std::string& model) {
    const std::string key = R"("in_spec": ")";
    model.replace(model.find(key) + key.size(), 0, "[1, " + tree);
  }));
  EXPECT_NE(message, "loaded");
}

/// A thousandfold: a record that inflates beyond what the limits allow, and one that lies about its size.
TEST(Bombs, InflatedRecords) {
  import::Limits limits;
  limits.max_inflated_bytes = 1u << 20;
  const std::string bomb = make_zip({{"m/models/model.json", std::string(8u << 20, ' '), true}});
  EXPECT_LT(bomb.size(), 20000u);
  EXPECT_NE(refusal(bomb, limits).find("unbelievable size"), std::string::npos);
  std::string liar = bomb;
  const std::size_t central = liar.rfind("PK\x01\x02");
  const std::uint32_t claimed = 0xfffffff0;
  std::memcpy(liar.data() + central + 24, &claimed, 4);
  EXPECT_NE(refusal(liar).find("unbelievable size"), std::string::npos);
}

TEST(Bombs, SymbolsWithoutEnd) {
  std::string sizes, sum = "Add(";
  for (int i = 0; i < 5000; ++i) {
    const std::string symbol = fmt::format("Symbol('a{}')", i);
    sizes += fmt::format(R"({}{{"as_expr": {{"expr_str": "{}", "hint": null}}}})", i == 0 ? "" : ", ", symbol);
    sum += symbol + ", ";
  }
  const auto message = [](const std::string& text) {
    return refusal(with_model([&](std::string& model) {
      const std::string from = R"("sizes": [{"as_int": 4})";
      model.replace(model.find(from), from.size(), R"("sizes": [)" + text);
    }));
  };
  EXPECT_NE(message(sizes).find("one symbol more than the 4096"), std::string::npos);
  EXPECT_NE(message(fmt::format(R"({{"as_expr": {{"expr_str": "{}", "hint": null}}}})", sum + "Integer(1))")).find("longer than 65536 characters"),
            std::string::npos);
}

}  // namespace
}  // namespace reprise
