// Which kernel was measured to be the fastest for a command, as data: key → name of a candidate (cpu/candidates.h, cuda/candidates.h).
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kernels/kernel.h"

namespace reprise::kernels {

/// What the speed of a command depends on wherever it runs: op, attributes, dtypes, sizes, strides, and where operands begin, modulo `alignment` bytes.
std::string describe_command(const StepSpec& spec, std::int64_t alignment);

struct Choice {
  std::string name;
  double microseconds = 0;  // as measured
};

/// Thread safe.
class Choices {
 public:
  [[nodiscard]] std::optional<Choice> find(const std::string& key) const;
  [[nodiscard]] bool empty() const;
  void set(const std::string& key, Choice choice);
  /// One line each: name, microseconds, key, separated by tabs; sorted.
  [[nodiscard]] std::string text() const;
  /// Adds what `text` gave, of keys that begin so. Lines that do not fit are skipped; gives their number.
  std::size_t add(std::string_view text, std::string_view begin = {});

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Choice> all_;
};

}  // namespace reprise::kernels
