#include "tensor/npz.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  const base::ZipOptions options{.check_crc = false, .max_inflated_bytes = 1u << 20};
  fuzz::run([&] { (void)tensor::parse_npz(fuzz::bytes(data, size), "fuzz", options); });
  return fuzz::run([&] { (void)tensor::parse_npy(fuzz::bytes(data, size), "fuzz"); });
}
