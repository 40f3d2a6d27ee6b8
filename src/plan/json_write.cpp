#include "plan/json_write.h"

#include <fmt/format.h>

#include "base/json.h"
#include "plan/rpz.h"

namespace reprise::plan {

namespace {

using base::JsonWriter;

void shape(JsonWriter& json, std::string_view key, const sym::Shape& sizes) {
  json.key(key).begin_array();
  for (const auto& e : sizes) json.value(sym::encode(e));
  json.end_array();
}

void tensor(JsonWriter& json, const Tensor& t, const TensorEntry& at) {
  json.begin_object().field("entry", at.entry).field("offset", at.offset_bytes).field("dtype", name(t.dtype()));
  json.key("sizes").values(t.sizes()).end_object();
}

void scalar_program(JsonWriter& json, const core::ScalarProgram& program) {
  json.begin_object().key("inputs").begin_array();
  for (const auto t : program.inputs) json.value(name(t));
  json.end_array();
  shape(json, "symbols", program.symbols);
  json.key("code").begin_array();
  for (const auto& i : program.code) {
    json.begin_array()
        .value(static_cast<int>(i.op))
        .value(static_cast<int>(i.type))
        .value(i.a)
        .value(i.b)
        .value(i.c)
        .value(i.imm_int)
        .value(i.imm_real)
        .end_array();
  }
  json.end_array().key("outputs").values(program.outputs).end_object();
}

// A tagged value: {"bool": true}, {"int": "s0"}, {"real": 0.5}, {"text": "sum"}, {"dtype": "f32"}, {"ints": […]}, {"reals": […]}, {"program": {…}}.
void attribute(JsonWriter& json, const core::Attr& attr) {
  json.begin_object();
  if (const auto* b = std::get_if<bool>(&attr)) json.field("bool", *b);
  if (const auto* e = std::get_if<sym::Expr>(&attr)) json.field("int", sym::encode(*e));
  if (const auto* d = std::get_if<double>(&attr)) json.field("real", *d);
  if (const auto* s = std::get_if<std::string>(&attr)) json.field("text", *s);
  if (const auto* t = std::get_if<DType>(&attr)) json.field("dtype", name(*t));
  if (const auto* l = std::get_if<std::vector<sym::Expr>>(&attr)) shape(json, "ints", *l);
  if (const auto* r = std::get_if<std::vector<double>>(&attr)) json.key("reals").values(*r);
  if (const auto* p = std::get_if<core::ScalarProgramPtr>(&attr)) {
    json.key("program");
    scalar_program(json, **p);
  }
  json.end_object();
}

void operand(JsonWriter& json, const Operand& o) {
  json.begin_object().field("buffer", o.buffer).field("dtype", name(o.dtype));
  shape(json, "sizes", o.sizes);
  shape(json, "strides", o.strides);
  json.field("offset", sym::encode(o.offset)).end_object();
}

void command(JsonWriter& json, const Command& c) {
  json.begin_object().field("op", core::name(c.op)).field("name", c.name).field("trace", c.trace).field("position", c.position).field("segment", c.segment);
  json.key("inputs").begin_array();
  for (const auto& o : c.inputs) operand(json, o);
  json.end_array().key("outputs").begin_array();
  for (const auto& o : c.outputs) operand(json, o);
  json.end_array().key("attrs").begin_object();
  for (const auto& [key, attr] : c.attrs.items()) {
    json.key(key);
    attribute(json, attr);
  }
  json.end_object().key("blocks").values(c.blocks).key("defines").begin_array();
  for (const auto& d : c.defines) json.begin_array().value(d.symbol).value(d.output).value(d.element).end_array();
  json.end_array().end_object();
}

void constant(JsonWriter& json, const ConstantValue& value) {
  json.key("constant");
  if (std::holds_alternative<std::monostate>(value)) json.null();
  if (const auto* b = std::get_if<bool>(&value)) json.value(*b);
  if (const auto* i = std::get_if<std::int64_t>(&value)) json.value(*i);
  // A real keeps its type through the text: integers and reals are told apart.
  if (const auto* d = std::get_if<double>(&value)) json.begin_object().field("real", *d).end_object();
  if (const auto* s = std::get_if<std::string>(&value)) json.value(*s);
}

void input(JsonWriter& json, const InputSpec& spec, const TensorEntry& sample) {
  json.begin_object().field("kind", static_cast<int>(spec.kind)).field("name", spec.name).field("dtype", name(spec.dtype)).field("mutated", spec.mutated);
  shape(json, "sizes", spec.sizes);
  json.field("value", sym::encode(spec.value));
  constant(json, spec.constant);
  json.key("sample");
  if (spec.sample.defined())
    tensor(json, spec.sample, sample);
  else
    json.null();
  json.end_object();
}

void output(JsonWriter& json, const OutputSpec& spec) {
  json.begin_object().field("kind", static_cast<int>(spec.kind)).field("name", spec.name).field("dtype", name(spec.dtype));
  shape(json, "sizes", spec.sizes);
  json.field("value", sym::encode(spec.value)).field("text", spec.text).end_object();
}

void symbols(JsonWriter& json, const sym::SymbolTable& table) {
  json.key("symbols").begin_array();
  for (const auto& s : table.all()) {
    json.begin_object().field("name", s.name).field("min", s.range.min).field("max", s.range.max).field("unbacked", s.unbacked).key("hint");
    if (s.hint)
      json.value(*s.hint);
    else
      json.null();
    json.end_object();
  }
  json.end_array();
}

void settings(JsonWriter& json, const Settings& s) {
  json.key("settings")
      .begin_object()
      .field("device", s.device.str())
      .field("dtype", s.dtype)
      .field("threads", s.threads)
      .field("optimization_level", s.optimization_level)
      .field("enable_weight_streaming", s.enable_weight_streaming)
      .field("packed_weights", s.packed_weights);
  if (!s.cuda_graph_strategy.empty()) json.field("cuda_graph_strategy", s.cuda_graph_strategy);
  json.key("fallback_ops").values(s.fallback_ops).end_object();
}

}  // namespace

std::string manifest_json(const Plan& plan, const std::vector<TensorEntry>& weights, const std::vector<TensorEntry>& states,
                          const std::vector<TensorEntry>& samples) {
  JsonWriter json;
  json.begin_object().key("format").begin_array().value(kFormatMajor).value(kFormatMinor).end_array();
  json.field("producer", plan.producer).field("torch_version", plan.torch_version);
  settings(json, plan.settings);
  symbols(json, plan.symbols);
  json.key("profiles").begin_array();
  for (const auto& p : plan.profiles) {
    json.begin_object();
    json.key("min").values(p.min).key("opt").values(p.opt).key("max").values(p.max);
    json.end_object();
  }
  json.end_array().key("segments").begin_array();
  for (const auto& s : plan.segments) json.begin_object().field("engine", s.engine).field("reason", s.reason).end_object();
  json.end_array().key("inputs").begin_array();
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) input(json, plan.inputs[i], samples[i]);
  json.end_array().key("outputs").begin_array();
  for (const auto& spec : plan.outputs) output(json, spec);
  json.end_array().field("in_spec", plan.in_spec).field("out_spec", plan.out_spec).key("weights").begin_array();
  for (std::size_t i = 0; i < plan.weights.size(); ++i) {
    json.begin_object().field("name", plan.weights[i].name).key("data");
    tensor(json, plan.weights[i].data, weights[i]);
    json.end_object();
  }
  json.end_array().key("states").begin_array();
  for (std::size_t i = 0; i < plan.states.size(); ++i) {
    json.begin_object().field("name", plan.states[i].name).key("data");
    tensor(json, plan.states[i].initial, states[i]);
    json.end_object();
  }
  json.end_array().end_object();
  return json.take();
}

std::string plan_json(const Plan& plan) {
  JsonWriter json;
  json.begin_object().key("buffers").begin_array();
  for (const auto& b : plan.buffers) {
    json.begin_object().field("kind", static_cast<int>(b.kind)).field("index", b.index).field("name", b.name).field("size_bytes", sym::encode(b.size_bytes));
    json.field("dynamic", b.dynamic).field("first", b.first).field("last", b.last).end_object();
  }
  json.end_array().key("blocks").begin_array();
  for (const auto& block : plan.blocks) {
    json.begin_array();
    for (const auto& c : block.commands) command(json, c);
    json.end_array();
  }
  json.end_array().end_object();
  return json.take();
}

}  // namespace reprise::plan
