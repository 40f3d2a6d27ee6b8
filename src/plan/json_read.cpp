#include "plan/json_read.h"

#include "base/check.h"
#include "plan/rpz.h"

namespace reprise::plan {

namespace {

using base::JsonValue;

DType dtype(const JsonValue& v) {
  const auto text = v.as_string();
  for (int i = 0; i < kDTypeCount; ++i) {
    if (name(static_cast<DType>(i)) == text) return static_cast<DType>(i);
  }
  v.fail("is not a dtype");
}

template <class Enum>
Enum enumerator(const JsonValue& v, int count) {
  const int i = v.as_small_int();
  if (i < 0 || i >= count) v.fail("is out of range");
  return static_cast<Enum>(i);
}

sym::Expr expr(const JsonValue& v) { return sym::decode(v.as_string()); }

sym::Shape shape(const JsonValue& v) {
  sym::Shape out;
  for (const auto& e : v.items()) out.push_back(expr(e));
  return out;
}

std::string text(const JsonValue& v) { return std::string(v.as_string()); }

std::vector<int> small_ints(const JsonValue& v) {
  std::vector<int> out;
  for (const auto& e : v.items()) out.push_back(e.as_small_int());
  return out;
}

core::Instr instruction(const JsonValue& v) {
  const auto f = v.items();
  if (f.size() != 7) v.fail("is not an instruction");
  core::Instr i;
  const int op = f[0].as_small_int();
  if (op < 0 || op > 255) f[0].fail("is out of range");
  i.op = static_cast<core::ScalarOp>(op);
  i.type = enumerator<DType>(f[1], kDTypeCount);
  i.a = f[2].as_small_int();
  i.b = f[3].as_small_int();
  i.c = f[4].as_small_int();
  i.imm_int = f[5].as_int();
  i.imm_real = f[6].as_real();
  return i;
}

core::ScalarProgramPtr scalar_program(const JsonValue& v) {
  auto program = std::make_shared<core::ScalarProgram>();
  for (const auto& t : v.at("inputs").items()) program->inputs.push_back(dtype(t));
  program->symbols = shape(v.at("symbols"));
  for (const auto& i : v.at("code").items()) program->code.push_back(instruction(i));
  program->outputs = small_ints(v.at("outputs"));
  program->verify();
  return program;
}

core::Attr attribute(const JsonValue& v) {
  const auto [kind, value] = v.only_member();
  if (kind == "bool") return value.as_bool();
  if (kind == "int") return expr(value);
  if (kind == "real") return value.as_real();
  if (kind == "text") return text(value);
  if (kind == "dtype") return dtype(value);
  if (kind == "ints") return shape(value);
  if (kind == "program") return scalar_program(value);
  if (kind != "reals") v.fail("is of an unknown kind");
  std::vector<double> reals;
  for (const auto& r : value.items()) reals.push_back(r.as_real());
  return reals;
}

Operand operand(const JsonValue& v) {
  return {v.at("buffer").as_small_int(), dtype(v.at("dtype")), shape(v.at("sizes")), shape(v.at("strides")), expr(v.at("offset"))};
}

Command command(const JsonValue& v) {
  Command c;
  c.op = core::parse_op(v.at("op").as_string());
  c.name = text(v.at("name"));
  c.trace = text(v.at("trace"));
  c.position = v.at("position").as_small_int();
  c.segment = v.at("segment").as_small_int();
  for (const auto& o : v.at("inputs").items()) c.inputs.push_back(operand(o));
  for (const auto& o : v.at("outputs").items()) c.outputs.push_back(operand(o));
  for (const auto& [key, attr] : v.at("attrs").members()) c.attrs.set(key, attribute(attr));
  c.blocks = small_ints(v.at("blocks"));
  for (const auto& d : v.at("defines").items()) {
    const auto fields = small_ints(d);
    if (fields.size() != 3) d.fail("is not a definition");
    c.defines.push_back({fields[0], fields[1], fields[2]});
  }
  return c;
}

ConstantValue constant(const JsonValue& v) {
  if (v.is_null()) return std::monostate{};
  if (v.is_bool()) return v.as_bool();
  if (v.is_integer()) return v.as_int();
  if (v.is_object()) return v.at("real").as_real();
  return text(v);
}

Tensor tensor(const JsonValue& v, const TensorSource& tensors) {
  const auto offset = v.at("offset").as_int();
  if (offset < 0) v.fail("has a negative offset");
  return tensors(text(v.at("entry")), static_cast<std::size_t>(offset), dtype(v.at("dtype")), v.at("sizes").as_ints());
}

InputSpec input(const JsonValue& v, const TensorSource& tensors) {
  InputSpec spec;
  spec.kind = enumerator<InputSpec::Kind>(v.at("kind"), 3);
  spec.name = text(v.at("name"));
  spec.dtype = dtype(v.at("dtype"));
  spec.mutated = v.at("mutated").as_bool();
  spec.sizes = shape(v.at("sizes"));
  spec.value = expr(v.at("value"));
  spec.constant = constant(v.at("constant"));
  if (const auto sample = v.find_non_null("sample")) spec.sample = tensor(*sample, tensors);
  return spec;
}

OutputSpec output(const JsonValue& v) {
  OutputSpec spec;
  spec.kind = enumerator<OutputSpec::Kind>(v.at("kind"), 6);
  spec.name = text(v.at("name"));
  spec.dtype = dtype(v.at("dtype"));
  spec.sizes = shape(v.at("sizes"));
  spec.value = expr(v.at("value"));
  spec.text = text(v.at("text"));
  return spec;
}

void read_symbols(const JsonValue& v, Plan& plan) {
  for (const auto& s : v.items()) {
    sym::SymbolInfo info{.name = text(s.at("name")), .range = {s.at("min").as_int(), s.at("max").as_int()}, .unbacked = s.at("unbacked").as_bool()};
    if (const auto hint = s.find_non_null("hint")) info.hint = hint->as_int();
    if (plan.symbols.find(info.name) >= 0) s.fail("is a symbol listed twice");
    plan.symbols.add(std::move(info));
  }
}

Settings settings(const JsonValue& v) {
  Settings s;
  try {
    s.device = Device::parse(v.at("device").as_string());
  } catch (const InvalidArgument&) {
    v.at("device").fail("is not a device");
  }
  s.dtype = text(v.at("dtype"));
  s.threads = v.at("threads").as_small_int();
  s.optimization_level = v.at("optimization_level").as_small_int();
  if (const auto packed = v.find("packed_weights")) s.packed_weights = packed->as_bool();                          // not in files of 1.2
  if (const auto streaming = v.find("enable_weight_streaming")) s.enable_weight_streaming = streaming->as_bool();  // not in files of 1.1
  if (const auto strategy = v.find("cuda_graph_strategy")) s.cuda_graph_strategy = text(*strategy);
  s.fallback_ops = v.at("fallback_ops").as_strings();
  return s;
}

}  // namespace

void check_format(const JsonValue& manifest, const std::string& label) {
  const auto format = manifest.at("format").as_ints();
  if (format.size() != 2) manifest.at("format").fail("is not a format version");
  REPRISE_CHECK(format[0] == kFormatMajor, FormatError, "[plan/rpz] {}: manifest.json has another major format version (got {}.{}, want {}.x){}", label,
                format[0], format[1], kFormatMajor, format[0] > kFormatMajor ? ": it was written by a newer Reprise" : "");
}

void read_manifest(const JsonValue& manifest, const TensorSource& tensors, Plan& plan) {
  plan.producer = text(manifest.at("producer"));
  plan.torch_version = text(manifest.at("torch_version"));
  plan.settings = settings(manifest.at("settings"));
  read_symbols(manifest.at("symbols"), plan);
  for (const auto& p : manifest.at("profiles").items()) plan.profiles.push_back({p.at("min").as_ints(), p.at("opt").as_ints(), p.at("max").as_ints()});
  for (const auto& s : manifest.at("segments").items()) plan.segments.push_back({s.at("engine").as_bool(), text(s.at("reason"))});
  for (const auto& i : manifest.at("inputs").items()) plan.inputs.push_back(input(i, tensors));
  for (const auto& o : manifest.at("outputs").items()) plan.outputs.push_back(output(o));
  plan.in_spec = text(manifest.at("in_spec"));
  plan.out_spec = text(manifest.at("out_spec"));
  for (const auto& w : manifest.at("weights").items()) plan.weights.push_back({text(w.at("name")), tensor(w.at("data"), tensors)});
  for (const auto& s : manifest.at("states").items()) plan.states.push_back({text(s.at("name")), tensor(s.at("data"), tensors)});
}

void read_plan(const JsonValue& root, Plan& plan) {
  for (const auto& b : root.at("buffers").items()) {
    plan.buffers.push_back({enumerator<BufferKind>(b.at("kind"), 5), b.at("index").as_small_int(), text(b.at("name")), expr(b.at("size_bytes")),
                            b.at("dynamic").as_bool(), b.at("first").as_small_int(), b.at("last").as_small_int()});
  }
  for (const auto& block : root.at("blocks").items()) {
    auto& commands = plan.blocks.emplace_back().commands;
    for (const auto& c : block.items()) commands.push_back(command(c));
  }
}

}  // namespace reprise::plan
