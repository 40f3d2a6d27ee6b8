#include "import/pt2/load.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "import/pt2/graph_reader.h"
#include "import/pt2/records.h"
#include "import/pt2/signature.h"
#include "import/pt2/weights.h"

namespace reprise::import {
namespace {

using base::JsonDocument;
using base::JsonValue;

constexpr int kSchemaMajor = 8;
constexpr int kMaxExpressionDepth = 64;  // canonical forms are deeper than their text, and .rpz files take 200

void read_versions(const JsonValue& root, const std::string& label, ir::Program& program) {
  const JsonValue version = root.at("schema_version");
  program.schema_major = version.at("major").as_small_int();
  program.schema_minor = version.at("minor").as_small_int();
  if (const auto torch = root.find_non_null("torch_version")) program.torch_version = torch->as_string();
  REPRISE_CHECK(program.schema_major == kSchemaMajor, FormatError,
                "[import/pt2] {}: its schema is {} than what this version reads (got {}.{}, want {}.x; saved by torch {})", label,
                program.schema_major > kSchemaMajor ? "newer" : "older", program.schema_major, program.schema_minor, kSchemaMajor, program.torch_version);
  const auto verifiers = root.find_non_null("verifiers");
  if (verifiers) {
    for (const JsonValue& verifier : verifiers->items()) program.functional = program.functional || verifier.as_string() == "ATEN";
  }
}

/// Samples only help to make up inputs: a file whose samples are of classes that are not read is still a good program.
void try_sample_inputs(const Archive& archive, const JsonValue& graph_module, const Limits& limits, Storages& storages, ir::Program& program) {
  const std::string_view name = archive.generation() == Generation::flat ? "serialized_example_inputs.pt" : "data/sample_inputs/{}.pt";
  const auto record = archive.find(name);
  if (!record || record->bytes.empty()) return;
  try {
    const TorchSave file(*record, archive.label_of(name), limits, storages);
    read_sample_inputs(file, graph_module, program);
  } catch (const FormatError& e) {
    base::log(LogLevel::info, "sample inputs are left out: {}", e.what());
  }
}

/// PyTorch 2.6 and older write NaN and infinities as bare words, which JSON does not have: quotes them. Empty when there are none.
std::string with_quoted_reals(std::string_view text) {
  if (text.find("Infinity") == std::string_view::npos && text.find("NaN") == std::string_view::npos) return {};
  constexpr std::string_view kWords[] = {"-Infinity", "Infinity", "NaN"};
  std::string out;
  std::size_t copied = 0;
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') inside = !inside;
    if (inside) {
      i += c == '\\';
      continue;
    }
    for (const std::string_view word : kWords) {
      if (c != word[0] || !text.substr(i).starts_with(word)) continue;
      out.append(text.substr(copied, i - copied)).append("\"").append(word).append("\"");
      i += word.size() - 1;
      copied = i + 1;
      break;
    }
  }
  return copied == 0 ? std::string() : out.append(text.substr(copied));
}

ir::Program read_program(const Archive& archive, const Limits& limits) {
  const Record record = archive.model();
  const std::string label = archive.label();
  REPRISE_CHECK(record.bytes.size() <= limits.max_model_json_bytes, FormatError, "[import/pt2] {}: the graph has {} bytes, at most {} are read", label,
                record.bytes.size(), limits.max_model_json_bytes);
  const std::string_view text(reinterpret_cast<const char*>(record.bytes.data()), record.bytes.size());
  const std::string quoted = archive.generation() == Generation::flat ? with_quoted_reals(text) : std::string();
  const JsonDocument document(quoted.empty() ? text : quoted, label);
  const JsonValue root = document.root();
  ir::Program program;
  read_versions(root, label, program);
  const JsonValue graph_module = root.at("graph_module");
  Symbols symbols(std::min(limits.max_nesting, kMaxExpressionDepth));
  program.graph = GraphReader(symbols, limits).read(graph_module.at("graph"));
  read_signature(graph_module.at("signature"), program);
  read_call_spec(graph_module, program);
  program.symbols = symbols.table(root.at("range_constraints"), program);
  Storages storages;
  read_weights(archive, limits, storages, program);
  try_sample_inputs(archive, graph_module, limits, storages, program);
  return program;
}

ir::Program load(Record file, const std::string& name, const Limits& limits) {
  try {
    return read_program(Archive(std::move(file), name, limits), limits);
  } catch (const InvalidArgument& e) {  // a value that an inner part takes from a caller alone, not from a file
    REPRISE_FAIL(FormatError, "[import/pt2] {}: {}", name, e.what());
  }
}

}  // namespace

ir::Program load_pt2(const std::string& path, const Limits& limits) {
  const auto file = base::MappedFile::open(path);
  return load({file->bytes(), file}, path, limits);
}

ir::Program load_pt2(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name, const Limits& limits) {
  return load({bytes, std::move(owner)}, name, limits);
}

}  // namespace reprise::import
