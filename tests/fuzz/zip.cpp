#include "base/zip.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  return fuzz::run([&] {
    const base::ZipReader zip(fuzz::bytes(data, size), "fuzz", {.check_crc = false, .max_inflated_bytes = 1u << 20});
    for (const auto& entry : zip.entries()) fuzz::run([&] { (void)zip.text(zip.at(entry.name)); });
  });
}
