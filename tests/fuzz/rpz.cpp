// Compiled modules: what loads has passed the plan's verifier and prints.
#include "plan/rpz.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  return fuzz::run([&] { (void)plan::print(*plan::load(fuzz::bytes(data, size), nullptr, "fuzz", false)); });
}
