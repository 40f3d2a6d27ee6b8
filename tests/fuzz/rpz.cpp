// Compiled modules: what loads has passed the plan's verifier and prints.
#include "plan/rpz.h"
#include "fuzz/fuzz.h"
#include "kernels/stored_forms.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  return fuzz::run([&] {
    const auto plan = plan::load(fuzz::bytes(data, size), nullptr, "fuzz", false);
    (void)plan::print(*plan);
    const auto stored = kernels::summarize_stored_forms(*plan);
    (void)kernels::StoredForms(*plan, stored.tag);
  });
}
