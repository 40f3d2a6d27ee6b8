#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::base {
namespace {

using testing_support::message_of;

TEST(JsonWriter, KeepsOrder) {
  JsonWriter w;
  w.begin_object().field("b", 1).field("a", "x").field("flag", true).key("list").values(std::vector<int>{1, 2}).key("none").null();
  w.key("nested").begin_object().end_object().key("raw").raw("[0]").end_object();
  EXPECT_EQ(w.str(), R"({"b":1,"a":"x","flag":true,"list":[1,2],"none":null,"nested":{},"raw":[0]})");
}

TEST(JsonWriter, Pretty) {
  JsonWriter w(true);
  w.begin_object().field("a", 1).key("b").begin_array().value(2).value(3).end_array().key("c").begin_array().end_array().end_object();
  EXPECT_EQ(w.str(), "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ],\n  \"c\": []\n}");
}

TEST(JsonWriter, NumbersAndTextsReadBack) {
  const std::vector<double> reals = {0.1, -0.0, 1e300, 5e-324, 3, 1e22, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  std::string text = "quote\" slash\\ tab\t newline\n \x01 \x7f é";
  JsonWriter w;
  w.begin_object().key("reals").values(reals).field("nan", std::nan("")).field("text", text).field(text, INT64_MIN).field("max", INT64_MAX).end_object();
  const JsonDocument doc(w.str(), "x");
  const auto items = doc.root().at("reals").items();
  for (std::size_t i = 0; i < reals.size(); ++i) EXPECT_EQ(items[i].as_real(), reals[i]);
  EXPECT_TRUE(std::signbit(items[1].as_real()));
  EXPECT_EQ(items[4].kind(), JsonValue::Kind::real);
  EXPECT_TRUE(std::isnan(doc.root().at("nan").as_real()));
  EXPECT_EQ(doc.root().at("text").as_string(), text);
  EXPECT_EQ(doc.root().at(text).as_int(), INT64_MIN);
  EXPECT_EQ(doc.root().at("max").as_int(), INT64_MAX);
}

const char* const kText = R"({"graph": {"nodes": [{"target": "add"}, {"target": 7}], "none": null, "x": 1, "x": 2}, "list": [1, 2, 3], "names": ["a", "b"],
                              "flag": false, "real": 1.5, "big": 18446744073709551615, "tag": {"as_int": 4}, "deep": [[[1], []], {"k": [0, {"m": "s"}]}]})";

TEST(JsonReader, Getters) {
  const JsonDocument doc(kText, "model.json");
  const JsonValue root = doc.root();
  EXPECT_EQ(root.size(), 8u);
  EXPECT_EQ(root.at("graph").at("nodes")[0].at("target").as_string(), "add");
  EXPECT_EQ(root.at("list").as_ints(), (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(root.at("names").as_strings(), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(root.at("flag").as_bool());
  EXPECT_EQ(root.at("real").as_real(), 1.5);
  EXPECT_EQ(root.at("list")[0].as_real(), 1.0);
  EXPECT_EQ(root.at("list")[2].as_small_int(), 3);
  EXPECT_EQ(root.at("graph").at("x").as_int(), 1);
  EXPECT_EQ(root.at("tag").only_member().key, "as_int");
  EXPECT_EQ(root.at("tag").only_member().value.as_int(), 4);
  EXPECT_TRUE(root.at("graph").at("none").is_null());
  EXPECT_TRUE(root.at("graph").find("none"));
  EXPECT_FALSE(root.at("graph").find_non_null("none"));
  EXPECT_FALSE(root.find("absent"));
  EXPECT_FALSE(root.at("list").find("absent"));
  EXPECT_EQ(root.members()[1].key, "list");
  EXPECT_EQ(root.at("deep")[1].at("k")[1].at("m").path(), "deep[1].k[1].m");
  EXPECT_EQ(root.at("deep")[0].items()[1].size(), 0u);
}

TEST(JsonReader, ErrorsNameThePlace) {
  const JsonDocument doc(kText, "model.json");
  const JsonValue root = doc.root();
  const auto expect = [](auto&& f, const char* text) {
    const std::string message = message_of<FormatError>(f);
    EXPECT_NE(message.find(text), std::string::npos) << message;
  };
  expect([&] { static_cast<void>(root.at("graph").at("nodes")[1].at("target").as_string()); },
         "[base/json] model.json: graph.nodes[1].target has the wrong type (got an integer, want a string)");
  expect([&] { static_cast<void>(root.at("absent")); }, "the document has no member 'absent'");
  expect([&] { static_cast<void>(root.at("list").at("x")); }, "list has the wrong type");
  expect([&] { static_cast<void>(root.at("list")[3]); }, "no element 3");
  expect([&] { static_cast<void>(root.at("big").as_int()); }, "big has the wrong type");
  expect([&] { static_cast<void>(root.at("real").as_int()); }, "real has the wrong type");
  expect([&] { static_cast<void>(root.at("flag").as_real()); }, "flag");
  expect([&] { static_cast<void>(root.at("names")[0].as_real()); }, "names[0]");
  expect([&] { static_cast<void>(root.at("graph").only_member()); }, "one member");
  expect([&] { static_cast<void>(root.at("real").size()); }, "real");
  expect([&] { static_cast<void>(root.at("real").items()); }, "real");
  expect([&] { static_cast<void>(root.at("real").members()); }, "real");
  EXPECT_THROW(static_cast<void>(JsonDocument("[3000000000]", "x").root()[0].as_small_int()), FormatError);
}

TEST(JsonReader, RefusesWhatIsNotJson) {
  for (const char* bad :
       {"", " ", "{", "[1,]", "{\"a\":}", "nul", "[1 2]", "'a'", "{\"a\" 1}", "\"\xff\"", "\"\\ud800\"", "[NaN]", "01", "[1]x", "99999999999999999999999"}) {
    EXPECT_NE(message_of<FormatError>([&] { JsonDocument(bad, "model.json"); }).find("model.json: not valid JSON"), std::string::npos) << bad;
  }
}

TEST(JsonReader, TruncatedAnywhere) {
  const std::string whole = kText;
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(JsonDocument(whole.substr(0, n), "x"), FormatError) << n;
}

TEST(JsonReader, DepthIsLimited) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(JsonDocument(nested(JsonDocument::kMaxDepth - 1), "x"));
  EXPECT_THROW(JsonDocument(nested(JsonDocument::kMaxDepth + 1), "x"), FormatError);
  EXPECT_THROW(JsonDocument(std::string(1000000, '['), "x"), FormatError);
}

}  // namespace
}  // namespace reprise::base
