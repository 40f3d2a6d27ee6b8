#include "import/pt2/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace reprise::import {
namespace {

constexpr std::string_view kCallable[] = {"torch._utils._rebuild_tensor_v2",
                                          "torch._utils._rebuild_tensor_v3",
                                          "torch._utils._rebuild_parameter",
                                          "torch._utils._rebuild_parameter_with_state",
                                          "torch._tensor._rebuild_from_type_v2",
                                          "collections.OrderedDict",
                                          "torch.Size"};

constexpr std::string_view kNamed[] = {"torch.Tensor",
                                       "torch.nn.parameter.Parameter",
                                       "torch.storage.UntypedStorage",
                                       "torch.DoubleStorage",
                                       "torch.FloatStorage",
                                       "torch.HalfStorage",
                                       "torch.BFloat16Storage",
                                       "torch.LongStorage",
                                       "torch.IntStorage",
                                       "torch.ShortStorage",
                                       "torch.CharStorage",
                                       "torch.ByteStorage",
                                       "torch.BoolStorage",
                                       "torch.ComplexFloatStorage",
                                       "torch.ComplexDoubleStorage",
                                       "torch.float64",
                                       "torch.float32",
                                       "torch.float16",
                                       "torch.bfloat16",
                                       "torch.int64",
                                       "torch.int32",
                                       "torch.int16",
                                       "torch.int8",
                                       "torch.uint8",
                                       "torch.bool",
                                       "torch.uint16",
                                       "torch.uint32",
                                       "torch.uint64",
                                       "torch.complex64",
                                       "torch.float8_e4m3fn",
                                       "torch.float8_e5m2"};

const std::string_view* listed(std::span<const std::string_view> names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? nullptr : &*found;
}

}  // namespace

class Unpickler {
 public:
  Unpickler(base::Bytes bytes, Pickle& out) : bytes_(bytes), out_(out) {}

  void run() {
    while (!step(static_cast<unsigned char>(take(1)[0]))) {
    }
    REPRISE_CHECK(stack_.size() == 1 && marks_.empty(), FormatError, "[import/pickle] {}: {} values are left at the end, want 1", out_.label_, stack_.size());
    out_.root_ = stack_.back();
  }

 private:
  using Id = Pickle::Id;
  using Kind = Pickle::Kind;
  using Node = Pickle::Node;

  [[noreturn]] void fail(std::string_view what) const { REPRISE_FAIL(FormatError, "[import/pickle] {}: {} at offset {}", out_.label_, what, at_); }
  void check(bool condition, std::string_view what) const {
    if (!condition) fail(what);
  }

  // ---- bytes

  base::Bytes take(std::uint64_t count) {
    check(count <= bytes_.size() - at_, "the pickle is truncated");
    const auto result = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += static_cast<std::size_t>(count);
    return result;
  }

  std::uint64_t little(std::size_t width) {
    std::uint64_t value = 0;
    const base::Bytes raw = take(width);
    for (std::size_t i = 0; i < width; ++i) value |= static_cast<std::uint64_t>(raw[i]) << (8 * i);
    return value;
  }

  std::string_view text(std::uint64_t count) {
    const base::Bytes raw = take(count);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }

  std::string_view line() {
    const auto rest = bytes_.subspan(at_);
    const auto end = std::find(rest.begin(), rest.end(), std::byte{'\n'});
    check(end != rest.end(), "the pickle is truncated");
    const auto result = text(static_cast<std::uint64_t>(end - rest.begin()));
    ++at_;
    return result;
  }

  std::int64_t long_integer(std::uint64_t width) {
    check(width <= 8, "an integer exceeds 64 bits");
    if (width == 0) return 0;
    const std::uint64_t raw = little(static_cast<std::size_t>(width));
    const unsigned shift = static_cast<unsigned>(64 - 8 * width);
    return static_cast<std::int64_t>(raw << shift) >> shift;
  }

  double real() {
    std::array<std::byte, 8> raw{};
    const base::Bytes big_endian = take(8);
    std::reverse_copy(big_endian.begin(), big_endian.end(), raw.begin());
    return std::bit_cast<double>(raw);
  }

  // ---- values

  void push(Node node) {
    out_.nodes_.push_back(std::move(node));
    stack_.push_back(static_cast<Id>(out_.nodes_.size() - 1));
  }
  void push(Kind kind, std::int64_t integer = 0) { push(Node{.kind = kind, .integer = integer, .text = {}, .items = {}}); }
  void push_text(Kind kind, std::string_view value) { push(Node{.kind = kind, .text = value, .items = {}}); }
  void push_items(Kind kind, std::vector<Id> items) { push(Node{.kind = kind, .text = {}, .items = std::move(items)}); }

  Id pop() {
    check(stack_.size() > (marks_.empty() ? 0 : marks_.back()), "a value is missing from the stack");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }

  std::vector<Id> pop_count(std::size_t count) {
    std::vector<Id> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  std::vector<Id> pop_to_mark() {
    check(!marks_.empty(), "a mark is missing from the stack");
    std::vector<Id> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  /// The list or dict on top of the stack, which stays there.
  void extend(Kind kind, const std::vector<Id>& items) {
    const Id id = pop();
    stack_.push_back(id);
    Node& node = out_.nodes_[id];
    check(node.kind == kind, kind == Kind::dict ? "items are set in something that is no dict" : "items are appended to something that is no list");
    check(kind != Kind::dict || items.size() % 2 == 0, "a dict key has no value");
    node.items.insert(node.items.end(), items.begin(), items.end());
  }

  void put(std::uint64_t index) {
    const Id id = pop();
    stack_.push_back(id);
    memo_[index] = id;
  }

  void get(std::uint64_t index) {
    const auto found = memo_.find(index);
    check(found != memo_.end(), "a memo entry is missing");
    stack_.push_back(found->second);
  }

  void global() {
    const std::string_view module = line();
    const std::string name = std::string(module) + "." + std::string(line());
    const std::string_view* known = listed(kCallable, name);
    if (known == nullptr) known = listed(kNamed, name);
    if (known == nullptr) REPRISE_FAIL(FormatError, "[import/pickle] {}: the global '{}' is not allowed", out_.label_, name.substr(0, 120));
    push_text(Kind::global, *known);
  }

  void reduce() {
    const Id args = pop();
    const Node& callee = out_.nodes_[pop()];
    check(callee.kind == Kind::global && out_.nodes_[args].kind == Kind::tuple, "something is called that is no function, or with something that is no tuple");
    check(listed(kCallable, callee.text) != nullptr, "a storage type or dtype is called");
    const auto& items = out_.nodes_[args].items;
    if (callee.text == "collections.OrderedDict") {
      check(items.empty(), "an OrderedDict is made from arguments");
      push(Kind::dict);
    } else if (callee.text == "torch.Size") {
      check(items.size() == 1, "a torch.Size is not made from one tuple");
      stack_.push_back(items[0]);
    } else {
      push(Node{.kind = Kind::call, .text = callee.text, .items = {args}});
    }
  }

  /// Attributes of an OrderedDict (a state dict's _metadata) or of a rebuilt parameter: nothing that a program needs.
  void build() {
    pop();
    const Id id = pop();
    check(out_.nodes_[id].kind == Kind::dict || out_.nodes_[id].kind == Kind::call, "state is set on something that has none");
    stack_.push_back(id);
  }

  bool step(unsigned char op) {
    if (op == '.') return true;
    if (!constant(op) && !container(op) && !memo(op)) {
      REPRISE_FAIL(FormatError, "[import/pickle] {}: the opcode 0x{:02x} at offset {} is not allowed", out_.label_, op, at_ - 1);
    }
    return false;
  }

  bool constant(unsigned char op) {
    switch (op) {
      case 0x80:
        check(little(1) == 2, "the pickle's protocol is not 2");
        return true;
      case 'N':
        push(Kind::none);
        return true;
      case 0x88:
        push(Kind::boolean, 1);
        return true;
      case 0x89:
        push(Kind::boolean, 0);
        return true;
      case 'K':
        push(Kind::integer, static_cast<std::int64_t>(little(1)));
        return true;
      case 'M':
        push(Kind::integer, static_cast<std::int64_t>(little(2)));
        return true;
      case 'J':
        push(Kind::integer, static_cast<std::int32_t>(little(4)));
        return true;
      case 0x8a:
        push(Kind::integer, long_integer(little(1)));
        return true;
      case 'G':
        push(Node{.kind = Kind::real, .real = real(), .text = {}, .items = {}});
        return true;
      case 'X':
        push_text(Kind::text, text(little(4)));
        return true;
      case 'c':
        global();
        return true;
      default:
        return false;
    }
  }

  bool container(unsigned char op) {
    switch (op) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case ')':
        push(Kind::tuple);
        return true;
      case ']':
        push(Kind::list);
        return true;
      case '}':
        push(Kind::dict);
        return true;
      case 't':
        push_items(Kind::tuple, pop_to_mark());
        return true;
      case 0x85:
        push_items(Kind::tuple, pop_count(1));
        return true;
      case 0x86:
        push_items(Kind::tuple, pop_count(2));
        return true;
      case 0x87:
        push_items(Kind::tuple, pop_count(3));
        return true;
      case 'a':
        extend(Kind::list, pop_count(1));
        return true;
      case 'e':
        extend(Kind::list, pop_to_mark());
        return true;
      case 's':
        extend(Kind::dict, pop_count(2));
        return true;
      case 'u':
        extend(Kind::dict, pop_to_mark());
        return true;
      case 'R':
        reduce();
        return true;
      case 'b':
        build();
        return true;
      case 'Q':
        push_items(Kind::persistent, pop_count(1));
        return true;
      default:
        return false;
    }
  }

  bool memo(unsigned char op) {
    switch (op) {
      case 'q':
        put(little(1));
        return true;
      case 'r':
        put(little(4));
        return true;
      case 'h':
        get(little(1));
        return true;
      case 'j':
        get(little(4));
        return true;
      default:
        return false;
    }
  }

  base::Bytes bytes_;
  std::size_t at_ = 0;
  Pickle& out_;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Id> memo_;
};

Pickle::Pickle(base::Bytes bytes, std::string label) : label_(std::move(label)) {
  REPRISE_CHECK(bytes.size() <= std::size_t{1} << 30, FormatError, "[import/pickle] {}: it has {} bytes, at most 1 GiB is read", label_, bytes.size());
  Unpickler(bytes, *this).run();
}

std::optional<Pickle::Id> Pickle::find(Id dict, std::string_view key) const {
  const Node& node = at(dict);
  if (node.kind != Kind::dict) return std::nullopt;
  for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const Node& k = at(node.items[i]);
    if (k.kind == Kind::text && k.text == key) return node.items[i + 1];
  }
  return std::nullopt;
}

}  // namespace reprise::import
