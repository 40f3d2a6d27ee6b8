#include "device/cuda/dependencies.h"

#include <algorithm>
#include <cstdint>

namespace reprise::device::cuda {
namespace {

struct Range {
  std::uintptr_t begin, end;
  bool write;
};

std::vector<Range> ranges_of(const Operation& operation, void* const* bindings) {
  std::vector<Range> ranges;
  for (const Access& access : operation.accesses) {
    const auto base = reinterpret_cast<std::uintptr_t>(bindings[access.slot]);
    if (access.begin < access.end) ranges.push_back({base + access.begin, base + access.end, access.write});
  }
  return ranges;
}

bool meet(const Range& a, const Range& b) { return (a.write || b.write) && a.begin < b.end && b.begin < a.end; }

bool meet(std::span<const Range> a, std::span<const Range> b) {
  return std::any_of(a.begin(), a.end(), [&](const Range& x) { return std::any_of(b.begin(), b.end(), [&](const Range& y) { return meet(x, y); }); });
}

bool is_host(const Operation& operation) { return std::holds_alternative<HostCall>(operation.work); }

/// Sets of operations, one per operation: what it follows, directly or not.
class Ancestors {
 public:
  explicit Ancestors(std::size_t count) : words_((count + 63) / 64), bits_(count * words_) {}
  [[nodiscard]] bool has(std::size_t of, std::size_t which) const { return (bits_[of * words_ + which / 64] >> (which % 64) & 1) != 0; }
  void add(std::size_t of, std::size_t which) {
    bits_[of * words_ + which / 64] |= std::uint64_t{1} << (which % 64);
    for (std::size_t w = 0; w < words_; ++w) bits_[of * words_ + w] |= bits_[which * words_ + w];
  }

 private:
  std::size_t words_;
  std::vector<std::uint64_t> bits_;
};

}  // namespace

std::vector<std::vector<int>> find_dependencies(std::span<const Operation> operations, void* const* bindings) {
  const std::size_t count = operations.size();
  std::vector<std::vector<Range>> ranges(count);
  for (std::size_t i = 0; i < count; ++i) ranges[i] = ranges_of(operations[i], bindings);
  Ancestors ancestors(count);
  std::vector<std::vector<int>> dependencies(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = i; j-- > 0;) {
      if (ancestors.has(i, j)) continue;
      if (!is_host(operations[i]) && !is_host(operations[j]) && !meet(ranges[i], ranges[j])) continue;
      dependencies[i].push_back(static_cast<int>(j));
      ancestors.add(i, j);
    }
  }
  return dependencies;
}

}  // namespace reprise::device::cuda
