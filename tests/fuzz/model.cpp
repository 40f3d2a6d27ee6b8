// The JSON of a program: graph, symbols, signature and names; everything but the weights.
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "import/pt2/graph_reader.h"
#include "import/pt2/signature.h"
#include "ir/aten_print.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  return fuzz::run([&] {
    const base::JsonDocument document(fuzz::text(data, size), "fuzz");
    const base::JsonValue graph_module = document.root().at("graph_module");
    import::Symbols symbols(64);
    ir::Program program;
    program.graph = import::GraphReader(symbols, {}).read(graph_module.at("graph"));
    import::read_signature(graph_module.at("signature"), program);
    import::read_call_spec(graph_module, program);
    program.symbols = symbols.table(document.root().at("range_constraints"), program);
    (void)ir::print(program);
  });
}
