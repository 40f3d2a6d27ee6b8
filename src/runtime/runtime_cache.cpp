#include "runtime/runtime_cache.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "kernels/provider.h"
#include "reprise/error.h"

namespace reprise::runtime {
namespace {

constexpr std::string_view kFormat = "reprise-runtime-cache 1 ", kChoice = "choice\t";

template <class F>
void for_each_line(std::string_view text, F use) {
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    use(line);
  }
}

/// The file's lines behind the first; empty when it is missing or not whole.
std::string read_lines(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  std::string text = base::read_text(path);
  const auto end = text.find('\n');
  const auto body = end == std::string::npos ? std::string() : text.substr(end + 1);
  if (end != std::string::npos && text.substr(0, end) == fmt::format("{}{}", kFormat, base::sha256(body))) return body;
  base::log(LogLevel::warning, "[runtime/cache] '{}' is no runtime cache or is damaged: it is not used", path.string());
  return {};
}

std::filesystem::path lock_path(const std::filesystem::path& path) { return path.string() + ".lock"; }

}  // namespace

void load_runtime_cache(const std::filesystem::path& path, const device::DevicePtr& device) {
  std::string choices;
  try {
    const base::FileLock lock(lock_path(path), base::FileLock::Kind::shared);
    for_each_line(read_lines(path), [&](std::string_view line) {
      if (line.starts_with(kChoice)) choices.append(line.substr(kChoice.size())).push_back('\n');
    });
  } catch (const Error& problem) {
    base::log(LogLevel::warning, "[runtime/cache] '{}' cannot be read: {}", path.string(), problem.what());
  }
  kernels::add_choices(device, choices);
}

void save_runtime_cache(const std::filesystem::path& path, const device::DevicePtr& device) {
  const base::FileLock lock(lock_path(path), base::FileLock::Kind::exclusive);
  std::set<std::string> lines;
  const auto add = [&](std::string_view kind, std::string_view line) { lines.insert(std::string(kind).append(line).append("\n")); };
  std::set<std::string> known;  // keys that this process has measured or loaded: its lines count
  const auto key_of = [](std::string_view line) { return std::string(line.substr(line.find('\t', line.find('\t') + 1) + 1)); };
  for_each_line(kernels::choices(device), [&](std::string_view line) {
    add(kChoice, line);
    known.insert(key_of(line));
  });
  for_each_line(read_lines(path), [&](std::string_view line) {
    if (!line.starts_with(kChoice) || !known.contains(key_of(line.substr(kChoice.size())))) add("", line);
  });
  const std::string body = fmt::format("{}", fmt::join(lines, ""));
  base::AtomicFile file(path);
  file.write(fmt::format("{}{}\n", kFormat, base::sha256(body)));
  file.write(body);
  file.commit();
}

}  // namespace reprise::runtime
