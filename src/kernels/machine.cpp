#include "kernels/machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string_view>

namespace reprise::kernels {
namespace {

std::string read_name() {
  std::map<std::string, std::string, std::less<>> fields;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {  // the first processor's
    const auto key = line.substr(0, line.find_first_of("\t:")), value = line.substr(std::min(line.size(), line.find(':') + 2));
    fields.emplace(key, value);
  }
  const std::string name = fields["model name"];
  return name.empty() ? "unknown" : fmt::format("{} {}/{}/{}", name, fields["cpu family"], fields["model"], fields["stepping"]);
}

}  // namespace

const std::string& processor_name() {
  static const std::string name = read_name();
  return name;
}

std::size_t cache_bytes(int level) {
  const long bytes = ::sysconf(level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
  if (bytes > 0) return static_cast<std::size_t>(bytes);
  return level == 2 ? std::size_t{1} << 20 : std::size_t{32} << 20;
}

}  // namespace reprise::kernels
