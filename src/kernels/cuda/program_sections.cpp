#include "kernels/cuda/program_sections.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/json.h"
#include "plan/sections.h"

namespace reprise::kernels::cuda {
namespace {

using base::JsonValue;
using base::JsonWriter;
using device::cuda::GpuInfo;

constexpr const char* kIndex = "programs.json";

std::string code_name(const std::string& key) { return key + ".cubin"; }

const plan::Section* find(std::span<const plan::Section> sections, std::string_view name) {
  const auto found = std::find_if(sections.begin(), sections.end(), [&](const plan::Section& s) { return s.name == name; });
  return found == sections.end() ? nullptr : &*found;
}

void write(JsonWriter& json, const GpuInfo& gpu) {
  json.begin_object().field("name", gpu.name).field("architecture", gpu.architecture).field("major", gpu.major).field("minor", gpu.minor);
  json.field("multiprocessors", gpu.multiprocessors).field("max_shared_bytes", gpu.max_shared_bytes);
  json.field("max_threads_per_multiprocessor", gpu.max_threads_per_multiprocessor).field("memory_bytes", gpu.memory_bytes).field("l2_bytes", gpu.l2_bytes);
  json.end_object();
}

std::size_t size(const JsonValue& v) {
  if (v.as_int() < 0) v.fail("is negative");
  return static_cast<std::size_t>(v.as_int());
}

GpuInfo read_gpu(const JsonValue& v) {
  GpuInfo gpu;
  gpu.name = v.at("name").as_string();
  gpu.architecture = v.at("architecture").as_string();
  gpu.major = v.at("major").as_small_int();
  gpu.minor = v.at("minor").as_small_int();
  gpu.multiprocessors = v.at("multiprocessors").as_small_int();
  if (gpu.multiprocessors < 1) v.at("multiprocessors").fail("is out of range");
  gpu.max_shared_bytes = size(v.at("max_shared_bytes"));
  gpu.max_threads_per_multiprocessor = v.at("max_threads_per_multiprocessor").as_small_int();
  gpu.memory_bytes = size(v.at("memory_bytes"));
  gpu.l2_bytes = size(v.at("l2_bytes"));
  return gpu;
}

bool is_elf(const Tensor& code) {
  constexpr std::string_view kMagic = "\177ELF";
  return code.nbytes() >= kMagic.size() && std::memcmp(code.data(), kMagic.data(), kMagic.size()) == 0;
}

StoredProgram read_program(const JsonValue& v, std::span<const plan::Section> sections) {
  StoredProgram stored;
  stored.key = v.at("key").as_string();
  stored.source.entry = v.at("entry").as_string();
  stored.source.options = v.at("options").as_strings();
  stored.source.text = v.at("text").as_string();
  stored.program.kernel = v.at("kernel").as_string();
  const plan::Section* code = find(sections, code_name(stored.key));
  if (code == nullptr || !is_elf(code->bytes)) v.at("key").fail("names no machine code of the module");
  stored.program.code = code->bytes;
  return stored;
}

}  // namespace

std::vector<plan::Section> to_sections(const StoredPrograms& stored) {
  std::vector<plan::Section> sections;
  JsonWriter json;
  json.begin_object().key("gpu");
  write(json, stored.gpu);
  json.field("texts", stored.texts).key("programs").begin_array();
  for (const StoredProgram& p : stored.programs) {
    json.begin_object().field("key", p.key).field("entry", p.source.entry).field("kernel", p.program.kernel);
    json.key("options").values(p.source.options).field("text", p.source.text).end_object();
    sections.push_back({code_name(p.key), p.program.code});
  }
  json.end_array().end_object();
  sections.push_back(plan::text_section(kIndex, json.str()));
  return sections;
}

std::optional<StoredPrograms> read_programs(std::span<const plan::Section> sections) {
  if (find(sections, kIndex) == nullptr) return std::nullopt;
  const base::JsonDocument document(plan::section_text(sections, kIndex), std::string("device/") + kIndex);
  StoredPrograms stored;
  stored.gpu = read_gpu(document.root().at("gpu"));
  stored.texts = document.root().at("texts").as_string();
  for (const JsonValue& v : document.root().at("programs").items()) stored.programs.push_back(read_program(v, sections));
  return stored;
}

}  // namespace reprise::kernels::cuda
