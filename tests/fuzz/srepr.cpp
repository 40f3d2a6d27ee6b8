#include "import/pt2/srepr.h"

#include <optional>
#include <string>

#include "fuzz/fuzz.h"
#include "sym/evaluate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  if (size == 0) return 0;
  const auto kind = static_cast<import::SymKind>(data[0] % 3);
  return fuzz::run([&] {
    const sym::Expr e = import::parse_srepr(fuzz::text(data + 1, size - 1), kind, 64);
    (void)e.str();
    fuzz::run([&] { (void)sym::evaluate(e, [](const std::string&) { return std::optional(sym::Number::of(3)); }); });
    fuzz::run([&] { (void)sym::bounds(e, sym::SymbolTable()); });
    fuzz::run([&] { (void)sym::decode(sym::encode(e)); });
  });
}
