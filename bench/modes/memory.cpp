#include "modes/memory.h"

#include <fstream>
#include <string>

namespace reprise::bench {

double resident_bytes() {
  double bytes = 0;
  std::ifstream status("/proc/self/status");
  for (std::string key, rest; status >> key && std::getline(status, rest);)
    if (key == "RssAnon:" || key == "RssFile:") bytes += std::stod(rest) * 1024;
  return bytes;
}

double bytes_in_use(device::DeviceHandle& device) {
  device.trim();
  if (device.host_visible()) return resident_bytes();
  const auto size = device.memory_size();
  return static_cast<double>(size.total_bytes) - static_cast<double>(size.free_bytes);
}

}  // namespace reprise::bench
