// Names of devices. A `Device` is a value; it opens nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reprise {

enum class DeviceType : std::uint8_t { cpu = 0, cuda = 1 };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;

  /// The CPU presents any number of virtual devices (cpu:0, cpu:1, …) that share one memory.
  static constexpr Device cpu(int index = 0) { return {DeviceType::cpu, index}; }
  static constexpr Device cuda(int index = 0) { return {DeviceType::cuda, index}; }

  /// "cpu", "cpu:1", "cuda", "cuda:0". Throws InvalidArgument for anything else.
  static Device parse(std::string_view text);

  /// "cpu:0", "cuda:1".
  [[nodiscard]] std::string str() const;

  friend constexpr bool operator==(Device, Device) = default;
};

/// The instruction set that CPU kernels use: "plain", "avx2", "avx512", "avx512_bf16" or "amx", the machine's best unless limited.
std::string_view cpu_isa();
/// Limits it for kernels that are made from now on, in the whole process: call it before modules are compiled or loaded. oneDNN keeps what was said before its
/// first kernel was made. The environment's REPRISE_CPU_ISA does the same from the start. Throws InvalidArgument for another name; one that the machine lacks
/// means its best. Thread safe.
void set_max_cpu_isa(std::string_view name);

}  // namespace reprise
