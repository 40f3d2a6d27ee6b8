#include "modes/report.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "base/json.h"

namespace reprise::bench {

std::string number(double value) {
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size >= 100 || size == std::floor(size) ? 0 : size >= 10 ? 1 : 2);
}

std::string mebibytes(double bytes) { return fmt::format("{:.1f}", bytes / (1 << 20)); }

void Report::row(const std::string& figure, const std::string& program, const std::string& mode, const Values& values) {
  if (json_) {
    base::JsonWriter json;
    json.begin_object().field("figure", figure).field("program", program).field("mode", mode);
    for (const auto& [column, text] : values) json.field(column, text);
    fmt::print("{}{}", any_ ? ",\n " : "[", json.end_object().str());
  } else {
    std::string header = "| program | mode |", rule = "|---|---|", cells;
    for (const auto& [column, text] : values) {
      header += " " + column + " |";
      rule += "---|";
      cells += " " + text + " |";
    }
    if (const std::string all = figure + header; all != header_) {
      fmt::print("\n**{}**\n\n{}\n{}\n", figure, header, rule);
      header_ = all;
    }
    fmt::print("| {} | {} |{}\n", program, mode, cells);
  }
  any_ = true;
  std::fflush(stdout);
}

void Report::check(bool holds, const std::string& what) {
  if (holds) return;
  ++failures_;
  fmt::print(stderr, "WRONG: {}\n", what);
}

int Report::finish() {
  if (json_) fmt::print("{}]\n", any_ ? "" : "[");
  return failures_;
}

}  // namespace reprise::bench
