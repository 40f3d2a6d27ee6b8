// What bench_modes found: Markdown tables, or one JSON array.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace reprise::bench {

/// Prints a row as soon as it is there, a heading and a header where the figure or its columns change.
class Report {
 public:
  explicit Report(bool json) : json_(json) {}
  using Values = std::vector<std::pair<std::string, std::string>>;  // column, text
  void row(const std::string& figure, const std::string& program, const std::string& mode, const Values& values);
  /// A statement about results that must hold.
  void check(bool holds, const std::string& what);
  /// Ends the output. The number of statements that did not hold.
  int finish();

 private:
  bool json_, any_ = false;
  std::string header_;
  int failures_ = 0;
};

[[nodiscard]] std::string number(double value);  // three significant digits, more before the point
[[nodiscard]] std::string mebibytes(double bytes);

}  // namespace reprise::bench
