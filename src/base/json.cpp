#include "base/json.h"

#include <simdjson.h>

#include <limits>

#include "base/check.h"
#include "base/text.h"

namespace reprise::base {

struct JsonDocument::Node {
  JsonValue::Kind kind = JsonValue::Kind::null;
  std::uint32_t parent = 0;
  std::uint32_t end = 0;    // one past the last descendant: where the next sibling stands
  std::uint32_t count = 0;  // children
  std::string_view key;     // in an object
  std::string_view text;
  union {
    std::int64_t integer = 0;
    double real;
    bool flag;
  };
};

/// Lays simdjson's tape out as nodes: it is read once, in order, and its strings stay where they are.
struct JsonDocument::Builder {
  JsonDocument& document;
  using Kind = JsonValue::Kind;
  using Type = simdjson::dom::element_type;

  void add(const simdjson::dom::element& e, std::uint32_t parent, std::string_view key) {
    const auto index = static_cast<std::uint32_t>(document.nodes_.size());
    REPRISE_CHECK(index < kMaxNodes, FormatError, "[base/json] {}: too many values (limit {})", document.label_, kMaxNodes);
    document.nodes_.emplace_back();
    const auto node = [&]() -> Node& { return document.nodes_[index]; };  // children move the vector
    node().parent = parent;
    node().key = key;
    const Type type = e.type();
    if (type == Type::OBJECT) {
      node().kind = Kind::object;
      simdjson::dom::object object;
      if (e.get_object().get(object)) return;  // cannot be: its type was asked
      for (const auto& [name, value] : object) add(value, index, name), ++node().count;
    } else if (type == Type::ARRAY) {
      node().kind = Kind::array;
      simdjson::dom::array array;
      if (e.get_array().get(array)) return;
      for (const auto& value : array) add(value, index, {}), ++node().count;
    } else {
      scalar(e, type, node());
    }
    node().end = static_cast<std::uint32_t>(document.nodes_.size());
  }

  static void scalar(const simdjson::dom::element& e, Type type, Node& node) {
    switch (type) {
      case Type::STRING:
        node.kind = Kind::string;
        node.text = e.get_string().value_unsafe();
        return;
      case Type::INT64:
        node.kind = Kind::integer;
        node.integer = e.get_int64().value_unsafe();
        return;
      case Type::UINT64:  // too large for int64
        node.kind = Kind::real;
        node.real = static_cast<double>(e.get_uint64().value_unsafe());
        return;
      case Type::DOUBLE:
        node.kind = Kind::real;
        node.real = e.get_double().value_unsafe();
        return;
      case Type::BOOL:
        node.kind = Kind::boolean;
        node.flag = e.get_bool().value_unsafe();
        return;
      default:
        return;
    }
  }
};

JsonDocument::JsonDocument(std::string_view text, std::string label) : label_(std::move(label)) {
  REPRISE_CHECK(text.size() <= kMaxBytes, FormatError, "[base/json] {}: text too long (got {} bytes, limit {})", label_, text.size(), kMaxBytes);
  auto parser = std::make_shared<simdjson::dom::parser>();
  auto error = parser->allocate(std::max<std::size_t>(text.size(), 1), kMaxDepth);
  REPRISE_CHECK(!error, OutOfMemory, "[base/json] {}: no memory for {} bytes of JSON", label_, text.size());
  simdjson::dom::element root;
  error = parser->parse(text.data(), text.size(), true).get(root);
  REPRISE_CHECK(!error, FormatError, "[base/json] {}: not valid JSON ({})", label_, simdjson::error_message(error));
  Builder{*this}.add(root, 0, {});
  strings_ = std::move(parser);
}

JsonDocument::~JsonDocument() = default;

namespace {

constexpr std::string_view kKindNames[] = {"null", "a boolean", "an integer", "a real", "a string", "an array", "an object"};

}  // namespace

JsonValue::Kind JsonValue::kind() const { return document_->nodes_[index_].kind; }

std::string JsonValue::path() const {
  const auto& nodes = document_->nodes_;
  if (index_ == 0) return "";
  const JsonValue parent(document_, nodes[index_].parent);
  const std::string before = parent.path();
  if (parent.is_object()) return before + (before.empty() ? "" : ".") + std::string(nodes[index_].key);
  std::size_t position = 0;
  for (std::uint32_t at = parent.index_ + 1; at != index_; at = nodes[at].end) ++position;
  return fmt::format("{}[{}]", before, position);
}

void JsonValue::fail(std::string_view what) const {
  const std::string place = path();
  REPRISE_FAIL(FormatError, "[base/json] {}: {} {}", document_->label_, place.empty() ? "the document" : printable(place, 1000), what);
}

bool JsonValue::as_bool() const {
  require(Kind::boolean);
  return document_->nodes_[index_].flag;
}

std::int64_t JsonValue::as_int() const {
  require(Kind::integer);
  return document_->nodes_[index_].integer;
}

int JsonValue::as_small_int() const {
  const std::int64_t v = as_int();
  if (v < std::numeric_limits<int>::min() || v > std::numeric_limits<int>::max()) fail(fmt::format("is out of range (got {})", v));
  return static_cast<int>(v);
}

double JsonValue::as_real() const {
  const auto& node = document_->nodes_[index_];
  if (node.kind == Kind::integer) return static_cast<double>(node.integer);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (node.kind == Kind::string) {
    if (node.text == "NaN" || node.text == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (node.text == "Infinity" || node.text == "inf") return kInfinity;
    if (node.text == "-Infinity" || node.text == "-inf") return -kInfinity;
  }
  require(Kind::real);
  return node.real;
}

std::string_view JsonValue::as_string() const {
  require(Kind::string);
  return document_->nodes_[index_].text;
}

void JsonValue::require(Kind wanted) const {
  const auto name = [](Kind k) { return kKindNames[static_cast<std::size_t>(k)]; };
  if (kind() != wanted) fail(fmt::format("has the wrong type (got {}, want {})", name(kind()), name(wanted)));
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const {
  if (!is_object()) return std::nullopt;
  const auto& nodes = document_->nodes_;
  for (std::uint32_t at = index_ + 1; at != nodes[index_].end; at = nodes[at].end) {
    if (nodes[at].key == key) return JsonValue(document_, at);
  }
  return std::nullopt;
}

std::optional<JsonValue> JsonValue::find_non_null(std::string_view key) const {
  const auto value = find(key);
  return value && !value->is_null() ? value : std::nullopt;
}

JsonValue JsonValue::at(std::string_view key) const {
  require(Kind::object);
  const auto value = find(key);
  if (!value) fail(fmt::format("has no member '{}'", key));
  return *value;
}

std::vector<JsonMember> JsonValue::members() const {
  require(Kind::object);
  const auto& nodes = document_->nodes_;
  std::vector<JsonMember> out;
  out.reserve(nodes[index_].count);
  for (std::uint32_t at = index_ + 1; at != nodes[index_].end; at = nodes[at].end) out.push_back({nodes[at].key, JsonValue(document_, at)});
  return out;
}

JsonMember JsonValue::only_member() const {
  require(Kind::object);
  if (size() != 1) fail(fmt::format("must have one member (got {})", size()));
  return {document_->nodes_[index_ + 1].key, JsonValue(document_, index_ + 1)};
}

std::size_t JsonValue::size() const {
  if (!is_object()) require(Kind::array);
  return document_->nodes_[index_].count;
}

JsonValue JsonValue::operator[](std::size_t index) const {
  require(Kind::array);
  if (index >= size()) fail(fmt::format("has no element {} (got {} elements)", index, size()));
  std::uint32_t at = index_ + 1;
  for (; index > 0; --index) at = document_->nodes_[at].end;
  return {document_, at};
}

std::vector<JsonValue> JsonValue::items() const {
  require(Kind::array);
  const auto& nodes = document_->nodes_;
  std::vector<JsonValue> out;
  out.reserve(nodes[index_].count);
  for (std::uint32_t at = index_ + 1; at != nodes[index_].end; at = nodes[at].end) out.push_back(JsonValue(document_, at));
  return out;
}

std::vector<std::int64_t> JsonValue::as_ints() const {
  std::vector<std::int64_t> out;
  for (const JsonValue& item : items()) out.push_back(item.as_int());
  return out;
}

std::vector<std::string> JsonValue::as_strings() const {
  std::vector<std::string> out;
  for (const JsonValue& item : items()) out.emplace_back(item.as_string());
  return out;
}

}  // namespace reprise::base
