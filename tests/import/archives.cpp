#include "import/archives.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>

#include "ir/aten_print.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::testing_support {
namespace {

void put(std::string& out, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::string deflate(const std::string& content) {
  std::string out(::compressBound(content.size()) + 64, '\0');
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

/// Version, flags, method, time, date, crc, sizes, name length: what both headers share.
void put_common(std::string& out, const ZipMember& m, const std::string& stored) {
  put(out, 20, 2);
  put(out, 0, 2);
  put(out, m.deflated ? 8 : 0, 2);
  put(out, 0, 4);
  put(out, ::crc32_z(0, reinterpret_cast<const Bytef*>(m.content.data()), m.content.size()), 4);
  put(out, stored.size(), 4);
  put(out, m.content.size(), 4);
  put(out, m.name.size(), 2);
}

}  // namespace

std::string make_zip(const std::vector<ZipMember>& members) {
  std::string out, directory;
  for (const ZipMember& m : members) {
    const std::string stored = m.deflated ? deflate(m.content) : m.content;
    const std::size_t local = out.size(), padding = (64 - (local + 30 + m.name.size() + 4) % 64) % 64;
    out += "PK\x03\x04";
    put_common(out, m, stored);
    put(out, padding + 4, 2);
    out += m.name;
    out += "FB";
    put(out, padding, 2);
    out.append(padding, '\0');
    out += stored;
    directory += std::string("PK\x01\x02") + std::string("\x14\x00", 2);
    put_common(directory, m, stored);
    directory.append(2 + 2 + 2 + 2 + 4, '\0');  // extra, comment, disk, attributes
    put(directory, local, 4);
    directory += m.name;
  }
  const std::size_t begin = out.size();
  out += directory + "PK\x05\x06";
  put(out, 0, 4);
  put(out, members.size(), 2);
  put(out, members.size(), 2);
  put(out, directory.size(), 4);
  put(out, begin, 4);
  put(out, 0, 2);
  return out;
}

std::vector<ZipMember> members_of(const std::string& zip) {
  const base::ZipReader reader(as_bytes(zip), "test");
  std::vector<ZipMember> members;
  for (const auto& entry : reader.entries()) members.push_back({entry.name, reader.text(entry)});
  return members;
}

std::string repack(const std::string& zip, const std::function<void(ZipMember&)>& change) {
  auto members = members_of(zip);
  for (ZipMember& m : members) change(m);
  std::erase_if(members, [](const ZipMember& m) { return m.name.empty(); });
  return make_zip(members);
}

ir::Program load(std::string bytes, const import::Limits& limits) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return import::load_pt2(as_bytes(*owner), owner, "test.pt2", limits);
}

std::string refusal(std::string bytes, const import::Limits& limits) {
  try {
    load(std::move(bytes), limits);
  } catch (const FormatError& e) {
    return e.what();
  } catch (const UnsupportedOp& e) {
    return e.what();
  }
  return "loaded";
}

std::string make_pt2(std::string_view graph, std::string_view input_specs, std::string_view output_specs, std::string_view ranges) {
  const std::string model = fmt::format(
      R"({{"graph_module": {{"graph": {}, "signature": {{"input_specs": {}, "output_specs": {}}}, "module_call_graph": []}},
          "opset_version": {{"aten": 10}}, "range_constraints": {}, "schema_version": {{"major": 8, "minor": 20}}, "verifiers": ["TRAINING"], "torch_version": "2.13.0"}})",
      graph, input_specs, output_specs, ranges);
  return make_zip({{"m/models/model.json", model}, {"m/data/weights/model_weights_config.json", R"({"config": {}})"}, {"m/byteorder", "little"}});
}

std::string fingerprint(const ir::Program& program) {
  std::string text = ir::print(program) + program.call.in_spec + program.call.out_spec;
  for (const std::string& name : program.call.input_names) text += name + "\n";
  for (const std::string& name : program.call.output_names) text += name + "\n";
  const auto add = [&](const Tensor& tensor) {
    const Tensor plain = tensor.contiguous();
    if (plain.numel() > 0) text.append(plain.data_as<const char>(), plain.nbytes());
  };
  for (const auto& [name, tensor] : program.tensors) add(tensor.data);
  for (const Tensor& sample : program.sample_inputs) {
    if (sample.defined()) add(sample);
  }
  return text;
}

std::string generation_path(std::string_view version, std::string_view file) {
  return fmt::format("{}/generations/torch-{}/{}", REPRISE_TEST_MODELS, version, file);
}

}  // namespace reprise::testing_support
