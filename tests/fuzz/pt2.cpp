// Whole files, of every generation.
#include "fuzz/fuzz.h"
#include "import/pt2/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  return fuzz::run([&] {
    import::Limits limits;
    limits.check_crc = false;
    limits.max_inflated_bytes = 1u << 22;
    (void)import::load_pt2(fuzz::bytes(data, size), nullptr, "fuzz", limits);
  });
}
