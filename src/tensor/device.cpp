#include "reprise/device.h"

#include <charconv>

#include "base/check.h"

namespace reprise {
namespace {

std::string_view type_name(DeviceType type) { return type == DeviceType::cpu ? "cpu" : "cuda"; }

}  // namespace

Device Device::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  Device device{kind == "cuda" ? DeviceType::cuda : DeviceType::cpu, 0};
  bool valid = kind == type_name(device.type);
  if (valid && colon != std::string_view::npos) {
    const std::string_view number = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), device.index);
    valid = error == std::errc{} && end == number.data() + number.size() && device.index >= 0;
  }
  REPRISE_CHECK(valid, InvalidArgument, "[tensor/device] not a device (got '{}', want cpu, cpu:N, cuda or cuda:N)", text);
  return device;
}

std::string Device::str() const { return fmt::format("{}:{}", type_name(type), index); }

}  // namespace reprise
