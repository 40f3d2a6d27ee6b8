// Which kernel was measured to be the fastest for a command, as data: key → name of a candidate (candidates.h).
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

/// Everything that the speed of a command depends on: op, attributes, dtypes, sizes, strides, alignment, the GPU, and what competes.
std::string choice_key(const Gpu& gpu, const StepSpec& spec);

struct Choice {
  std::string name;
  double microseconds = 0;  // as measured
};

/// A service of a Gpu. Thread safe.
class Choices {
 public:
  explicit Choices(Gpu&) {}
  [[nodiscard]] std::optional<Choice> find(const std::string& key) const;
  void set(const std::string& key, Choice choice);
  /// One line each: name, microseconds, key, separated by tabs; sorted.
  [[nodiscard]] std::string text() const;
  /// Adds what `text` gave. Lines that do not fit are skipped; gives their number.
  std::size_t add(std::string_view text);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Choice> all_;
};

}  // namespace reprise::kernels::cuda
