// JSON: a writer that keeps the order of what it is given, and a reader whose getters check.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace reprise::base {

/// Appends to a string. Calls nest as the document does; a misuse (value without key in an object) is a bug and asserted.
/// Reals print as the shortest text that reads back equal; NaN and infinities as the strings "NaN", "Infinity", "-Infinity".
class JsonWriter {
 public:
  explicit JsonWriter(bool pretty = false) : pretty_(pretty) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag);
  JsonWriter& value(double number);
  template <std::integral T>
  JsonWriter& value(T number) {
    if constexpr (std::is_signed_v<T>) return integer(static_cast<std::int64_t>(number));
    return unsigned_integer(static_cast<std::uint64_t>(number));
  }
  JsonWriter& null();
  /// Text that is JSON already.
  JsonWriter& raw(std::string_view json);

  /// A whole list.
  template <class Range>
  JsonWriter& values(const Range& range) {
    begin_array();
    for (const auto& item : range) value(item);
    return end_array();
  }
  /// `key` and `value` in one.
  template <class T>
  JsonWriter& field(std::string_view name, const T& item) {
    key(name);
    return value(item);
  }

  [[nodiscard]] const std::string& str() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& integer(std::int64_t number);
  JsonWriter& unsigned_integer(std::uint64_t number);
  void before_item();
  void new_line();

  std::string out_;
  std::vector<bool> has_items_;  // per open bracket
  bool after_key_ = false;
  bool pretty_;
};

class JsonDocument;
struct JsonMember;

/// A value inside a JsonDocument, which must outlive it. Every getter throws FormatError when the value is missing or of another type, and names the
/// place: `[base/json] model.json: graph.nodes[3].target is not a string`.
class JsonValue {
 public:
  enum class Kind : std::uint8_t { null, boolean, integer, real, string, array, object };

  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool is_null() const { return kind() == Kind::null; }
  [[nodiscard]] bool is_bool() const { return kind() == Kind::boolean; }
  [[nodiscard]] bool is_integer() const { return kind() == Kind::integer; }
  [[nodiscard]] bool is_string() const { return kind() == Kind::string; }
  [[nodiscard]] bool is_array() const { return kind() == Kind::array; }
  [[nodiscard]] bool is_object() const { return kind() == Kind::object; }

  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] std::int64_t as_int() const;
  [[nodiscard]] int as_small_int() const;  // one that fits int
  /// Integers read as reals too; so do the strings NaN, Infinity, -Infinity, nan, inf, -inf.
  [[nodiscard]] double as_real() const;
  [[nodiscard]] std::string_view as_string() const;  // lives as long as the document

  // Objects: the first member of a name counts.
  [[nodiscard]] JsonValue at(std::string_view key) const;
  [[nodiscard]] std::optional<JsonValue> find(std::string_view key) const;           // nullopt: this is not an object, or has no such key
  [[nodiscard]] std::optional<JsonValue> find_non_null(std::string_view key) const;  // null counts as absent
  [[nodiscard]] bool has(std::string_view key) const { return find(key).has_value(); }
  [[nodiscard]] std::vector<JsonMember> members() const;  // in the document's order
  [[nodiscard]] JsonMember only_member() const;           // of a one-key object (a tagged union)

  // Arrays.
  [[nodiscard]] std::size_t size() const;                       // of objects too
  [[nodiscard]] JsonValue operator[](std::size_t index) const;  // walks; iterate over items() instead
  [[nodiscard]] std::vector<JsonValue> items() const;
  [[nodiscard]] std::vector<std::int64_t> as_ints() const;
  [[nodiscard]] std::vector<std::string> as_strings() const;

  [[nodiscard]] std::string path() const;  // "graph.nodes[3].target"
  /// Throws FormatError: `[base/json] <label>: <path> <what>`.
  [[noreturn]] void fail(std::string_view what) const;

 private:
  friend class JsonDocument;
  void require(Kind wanted) const;
  JsonValue(const JsonDocument* document, std::uint32_t index) : document_(document), index_(index) {}
  const JsonDocument* document_;
  std::uint32_t index_;
};

struct JsonMember {
  std::string_view key;
  JsonValue value;
};

/// A parsed text. Immutable, so readable from many threads. Movable only behind a pointer, since values refer to it.
class JsonDocument {
 public:
  static constexpr std::size_t kMaxDepth = 256, kMaxBytes = std::size_t{1} << 30, kMaxNodes = std::size_t{1} << 25;
  /// `label` (a path) begins every message. Throws FormatError on anything that is not strict JSON in UTF-8, nests deeper than kMaxDepth, is longer than
  /// kMaxBytes or has more than kMaxNodes values.
  JsonDocument(std::string_view text, std::string label);
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;
  ~JsonDocument();

  [[nodiscard]] JsonValue root() const { return {this, 0}; }
  [[nodiscard]] const std::string& label() const { return label_; }

 private:
  friend class JsonValue;
  struct Node;
  struct Builder;
  std::string label_;
  std::vector<Node> nodes_;              // depth first
  std::shared_ptr<const void> strings_;  // what keys and texts point into
};

}  // namespace reprise::base
