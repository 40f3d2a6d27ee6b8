#include "profile_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace reprise::cli {
namespace {

/// Commands of one op whose first kernel is of one kind: "cudnn" of "cudnn:f12:2=3", "norm_short" of "norm_short<…>".
struct Kind {
  std::string op, kernel;
  int commands = 0;
  double microseconds = 0, share = 0;
};

double sum(const std::vector<CommandTime>& commands) {
  double all = 0;
  for (const auto& c : commands) all += c.microseconds;
  return all;
}

double share(double part, double all) { return all > 0 ? part / all : 0; }

std::vector<Kind> by_kernel(const std::vector<CommandTime>& commands) {
  std::map<std::pair<std::string, std::string>, Kind> kinds;
  for (const auto& c : commands) {
    const std::string kernel = c.kernels.empty() ? "" : c.kernels[0].substr(0, c.kernels[0].find_first_of("<:"));
    Kind& kind = kinds[{c.op, kernel}];
    kind.op = c.op;
    kind.kernel = kernel;
    ++kind.commands;
    kind.microseconds += c.microseconds;
  }
  std::vector<Kind> sorted;
  for (auto& [key, kind] : kinds) {
    kind.share = share(kind.microseconds, sum(commands));
    sorted.push_back(kind);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Kind& a, const Kind& b) { return a.microseconds > b.microseconds; });
  return sorted;
}

}  // namespace

std::string profile_text(const std::vector<CommandTime>& commands) {
  const double all = sum(commands);
  std::string text = fmt::format("commands one by one: {:.1f} µs\n{:>10} {:>7} {:>5}  {:<14} {:<40} {}\n", all, "µs", "share", "runs", "op", "node", "kernels");
  for (const auto& c : commands)
    text += fmt::format("{:>10.2f} {:>6.1f}% {:>5}  {:<14} {:<40} {}\n", c.microseconds, 100 * share(c.microseconds, all), c.runs, c.op, c.name,
                        fmt::join(c.kernels, " + "));
  text += fmt::format("by op and kernel\n{:>10} {:>7} {:>5}  {:<14} {}\n", "µs", "share", "cmds", "op", "kernel");
  for (const auto& k : by_kernel(commands))
    text += fmt::format("{:>10.2f} {:>6.1f}% {:>5}  {:<14} {}\n", k.microseconds, 100 * k.share, k.commands, k.op, k.kernel);
  return text;
}

void profile_json(base::JsonWriter& json, const std::vector<CommandTime>& commands) {
  const double all = sum(commands);
  json.field("commands_microseconds", all).key("commands").begin_array();
  for (const auto& c : commands) {
    json.begin_object().field("position", c.position).field("op", c.op).field("name", c.name).field("trace", c.trace).key("kernels").values(c.kernels);
    json.field("runs", c.runs).field("microseconds", c.microseconds).field("share", share(c.microseconds, all)).end_object();
  }
  json.end_array().key("by_kernel").begin_array();
  for (const auto& k : by_kernel(commands)) {
    json.begin_object().field("op", k.op).field("kernel", k.kernel).field("commands", k.commands).field("microseconds", k.microseconds);
    json.field("share", k.share).end_object();
  }
  json.end_array();
}

}  // namespace reprise::cli
