// What a user may hand over by mistake, signatures and names.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "import/archives.h"
#include "import/pt2/treespec.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using testing_support::generation_path;
using testing_support::load;
using testing_support::make_pt2;
using testing_support::make_zip;
using testing_support::message_of;
using testing_support::read_file;
using testing_support::refusal;
using testing_support::repack;
using testing_support::ZipMember;

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

/// The newest form of a program, with one record's text changed.
std::string edited(std::string_view file, std::string_view record, std::string_view from, std::string_view to) {
  return repack(read_file(generation_path("2.13.0", file)), [&](ZipMember& m) {
    if (m.name.ends_with(record)) m.content = replaced(m.content, from, to);
  });
}

std::string without(std::string_view file, std::string_view record) {
  return repack(read_file(generation_path("2.13.0", file)), [&](ZipMember& m) {
    if (m.name.ends_with(record)) m.name.clear();
  });
}

// ---- not a program

TEST(Load, MissingFileIsNamed) {
  const std::string message = message_of<FormatError>([] { import::load_pt2("/nowhere/model.pt2"); });
  EXPECT_NE(message.find("/nowhere/model.pt2"), std::string::npos) << message;
}

TEST(Load, OtherFilesAreNamedForWhatTheyAre) {
  EXPECT_EQ(refusal("GGUF and more bytes than a zip needs at the least"), "[import/pt2] test.pt2: this is no .pt2 file: it is not a zip archive");
  EXPECT_EQ(
      refusal(make_zip({{"m/data/aotinductor/model/x.so", "elf"}, {"m/archive_format", "pt2"}})),
      "[import/pt2] test.pt2: this is no program of torch.export: it is an AOTInductor package, which holds compiled code and no graph; save the program with "
      "torch.export.save instead");
  EXPECT_NE(refusal(make_zip({{"m/data.pkl", "x"}, {"m/constants.pkl", "x"}})).find("it is a TorchScript archive"), std::string::npos);
  EXPECT_NE(refusal(make_zip({{"m/data.pkl", "x"}, {"m/data/0", "x"}})).find("it is a file of torch.save"), std::string::npos);
  EXPECT_NE(refusal(make_zip({{"a.txt", "x"}})).find("it is a zip archive without models/*.json"), std::string::npos);
  EXPECT_NE(refusal(make_zip({})).find("it is a zip archive without models/*.json"), std::string::npos);
}

TEST(Load, OtherSchemaVersionsAreRefusedWithBoth) {
  EXPECT_EQ(refusal(edited("cond.pt2", "model.json", R"("schema_version": {"major": 8,)", R"("schema_version": {"major": 9,)")),
            "[import/pt2] test.pt2: its schema is newer than what this version reads (got 9.20, want 8.x; saved by torch 2.13.0+cpu)");
  EXPECT_NE(refusal(edited("cond.pt2", "model.json", R"("schema_version": {"major": 8,)", R"("schema_version": {"major": 7,)")).find("is older than"),
            std::string::npos);
  EXPECT_EQ(load(edited("cond.pt2", "model.json", R"("minor": 20)", R"("minor": 99)")).schema_minor, 99);
}

TEST(Load, BigEndianWeightsAreRefused) {
  EXPECT_NE(refusal(edited("cond.pt2", "byteorder", "little", "big")).find("not in little-endian byte order"), std::string::npos);
}

TEST(Load, SeveralProgramsInOneFile) {
  const auto both = [](std::string_view first, std::string_view second) {
    auto members = testing_support::members_of(read_file(generation_path("2.13.0", "cond.pt2")));
    const auto copy = members;
    for (auto& m : members) {
      if (m.name.ends_with("models/model.json")) m.name = "cond/models/" + std::string(first) + ".json";
    }
    for (const auto& m : copy) {
      if (m.name.ends_with("models/model.json")) members.push_back({"cond/models/" + std::string(second) + ".json", m.content});
    }
    return make_zip(members);
  };
  EXPECT_NE(refusal(both("a", "b")).find("it holds 2 programs and none is named 'model' (got 'cond/models/a.json', 'cond/models/b.json', …)"),
            std::string::npos);
  EXPECT_EQ(load(both("a", "model")).graph.nodes.size(), 3u);
}

TEST(Load, FolderMayBeMissingAndOrderMayDiffer) {
  auto members = testing_support::members_of(read_file(generation_path("2.13.0", "shared.pt2")));
  std::reverse(members.begin(), members.end());
  const std::string want = testing_support::fingerprint(load(make_zip(members)));
  for (auto& m : members) m.name = m.name.substr(m.name.find('/') + 1);
  EXPECT_EQ(testing_support::fingerprint(load(make_zip(members))), want);
}

TEST(Load, BrokenJsonNamesTheFile) {
  const std::string message = refusal(edited("cond.pt2", "model.json", R"("graph_module")", R"("graph_module)"));
  EXPECT_TRUE(message.find("test.pt2") != std::string::npos && message.find("JSON") != std::string::npos) << message;
  EXPECT_NE(refusal(edited("cond.pt2", "model.json", R"("nodes")", R"("nods")")).find("graph_module.graph"), std::string::npos);
}

TEST(Load, LimitsAreKept) {
  import::Limits limits;
  limits.max_model_json_bytes = 100;
  EXPECT_NE(refusal(read_file(generation_path("2.13.0", "cond.pt2")), limits).find("at most 100 are read"), std::string::npos);
  limits = {};
  limits.max_records = 3;
  EXPECT_NE(refusal(read_file(generation_path("2.13.0", "cond.pt2")), limits).find("too many entries"), std::string::npos);
}

/// PyTorch 2.6 writes -Infinity as a bare word; only outside of texts.
TEST(Load, BareRealsOfOldFiles) {
  const auto program = import::load_pt2(generation_path("2.6.0", "dynamic.core.pt2"));
  bool found = false;
  for (const auto& node : program.graph.nodes) {
    for (const auto& arg : node.args) found = found || (std::holds_alternative<double>(arg.value) && std::isinf(std::get<double>(arg.value)));
  }
  EXPECT_TRUE(found);
  const std::string changed = repack(read_file(generation_path("2.6.0", "dynamic.core.pt2")), [](ZipMember& m) {
    if (m.name.ends_with("program.json")) m.content = replaced(m.content, R"("torch_version": ")", R"("torch_version": "\"NaN -Infinity )");
  });
  EXPECT_TRUE(load(changed).torch_version.starts_with("\"NaN -Infinity 2.6.0"));
}

// ---- weights

TEST(Load, MissingAndDifferentWeightsAreRefused) {
  EXPECT_EQ(refusal(edited("shared.pt2", "weights_config.json", R"("left")", R"("gone")")), "[import/weights] test.pt2: the file does not hold 'left'");
  EXPECT_EQ(refusal(without("shared.pt2", "weights/weight_0")), "[import/pt2] test.pt2: there is no record 'shared/data/weights/weight_0'");
  EXPECT_EQ(refusal(edited("shared.pt2", "weights_config.json", R"("sizes": [{"as_int": 4}, {"as_int": 6}])", R"("sizes": [{"as_int": 4}, {"as_int": 5}])")),
            "[import/weights] test.pt2: 'left' is not as the graph has it (got f32[4, 5], want f32[4, 6])");
  EXPECT_NE(refusal(edited("shared.pt2", "weights_config.json", R"("dtype": 7)", R"("dtype": 6)")).find("(got f16[4, 6], want f32[4, 6])"), std::string::npos);
  EXPECT_NE(refusal(edited("shared.pt2", "weights_config.json", R"("dtype": 7)", R"("dtype": 10)")).find("is of complex64"), std::string::npos);
}

TEST(Load, WeightsOutsideTheirRecordAreRefused) {
  const auto offset = [](std::string_view to) {
    return refusal(edited("shared.pt2", "weights_config.json", R"("storage_offset": {"as_int": 6})", fmt::format(R"("storage_offset": {{"as_int": {}}})", to)));
  };
  EXPECT_EQ(offset("7"),
            "[import/weights] test.pt2: shared/data/weights/weight_0 (right): the tensor reaches outside its storage (got 48 elements of f32, want 49)");
  for (const char* hostile : {"-1", "9223372036854775807", "1099511627776", "48"}) EXPECT_NE(offset(hostile), "loaded") << hostile;
  const auto stride = [](std::string_view to) {
    return refusal(edited("shared.pt2", "weights_config.json", R"("strides": [{"as_int": 12})", fmt::format(R"("strides": [{{"as_int": {}}})", to)));
  };
  for (const char* hostile : {"-12", "15", "9223372036854775807", "4611686018427387904"}) EXPECT_NE(stride(hostile), "loaded") << hostile;
}

/// The graph would have to agree, so both claim it; nothing of that size is ever made.
TEST(Load, TerabyteClaimsAreRefused) {
  for (const char* rows : {"1000000000000", "9223372036854775807", "4611686018427387904"}) {
    const std::string config = edited("shared.pt2", "weights_config.json", R"("sizes": [{"as_int": 4})", fmt::format(R"("sizes": [{{"as_int": {}}})", rows));
    EXPECT_NE(refusal(config), "loaded");
    const std::string with_no_stride = repack(config, [](ZipMember& m) {
      if (m.name.ends_with("weights_config.json")) m.content = replaced(m.content, R"("strides": [{"as_int": 12})", R"("strides": [{"as_int": 0})");
    });
    EXPECT_NE(refusal(with_no_stride), "loaded");
  }
}

TEST(Load, PickledTensorsOfForeignClassesAreRefusedByName) {
  const std::string pickle = std::string("\x80\x02", 2) + "cos\nsystem\n.";
  const std::string archive = make_zip({{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}});
  const auto swap = [&](std::string_view version, std::string_view record) {
    return repack(read_file(generation_path(version, "shared.pt2")), [&](ZipMember& m) {
      if (m.name.ends_with(record)) m.content = archive;
    });
  };
  EXPECT_EQ(refusal(swap("2.6.0", "serialized_state_dict.pt")), "[import/pickle] test.pt2: serialized_state_dict.pt: the global 'os.system' is not allowed");
  EXPECT_EQ(refusal(swap("2.7.1", "serialized_constants.pt")), "[import/pickle] test.pt2: serialized_constants.pt: the global 'os.system' is not allowed");
  EXPECT_EQ(refusal(swap("2.8.0", "data/weights/model.pt")), "[import/pickle] test.pt2: shared/data/weights/model.pt: the global 'os.system' is not allowed");
  const std::string subclass = repack(edited("shared.pt2", "weights_config.json", R"("use_pickle": false)", R"("use_pickle": true)"), [&](ZipMember& m) {
    if (m.name.ends_with("weight_0")) m.content = archive;
  });
  EXPECT_EQ(refusal(subclass), "[import/pickle] test.pt2: shared/data/weights/weight_0: the global 'os.system' is not allowed");
}

/// Samples only help to make up inputs; a program is good without them.
TEST(Load, SamplesThatAreNotReadAreLeftOut) {
  const auto program = load(repack(read_file(generation_path("2.13.0", "shared.pt2")), [&](ZipMember& m) {
    if (m.name.ends_with("sample_inputs/model.pt")) m.content = "no archive";
  }));
  EXPECT_TRUE(program.sample_inputs.empty());
  EXPECT_TRUE(load(without("shared.pt2", "sample_inputs/model.pt")).sample_inputs.empty());
}

// ---- signatures

TEST(Load, SignatureMustMatchTheGraph) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"arg": {"name": "p_left"}, "parameter_name": "left"})", R"({"arg": {"name": "p_right"}, "parameter_name": "left"})"},
      {R"({"parameter": {"arg": {"name": "p_left"}, "parameter_name": "left"}}, )", ""},
      {R"({"constant_input": {"name": "flip", "value": {"as_bool": false}}})", R"({"parameter": {"arg": {"name": "flip"}, "parameter_name": "flip"}})"},
      {R"({"user_output": {"arg": {"as_tensor": {"name": "linear"}}}}, )", ""},
      {R"({"user_output": {"arg": {"as_tensor": {"name": "linear"}}}})", R"({"buffer_mutation": {"arg": {"name": "linear"}, "buffer_name": "nothing"}})"},
      {R"({"user_output": {"arg": {"as_tensor": {"name": "linear"}}}})", R"({"something": {}})"},
  };
  for (const auto& [from, to] : rows) {
    const std::string message = refusal(edited("shared.pt2", "model.json", from, to));
    EXPECT_NE(message.find("graph_module.signature"), std::string::npos) << message;
  }
  EXPECT_NE(refusal(edited("shared.pt2", "model.json", R"({"constant_input": {"name": "flip", "value": {"as_bool": false}}})",
                           R"({"token": {"arg": {"name": "t"}}})"))
                .find("an input of a kind that is not supported (got token)"),
            std::string::npos);
}

TEST(Load, OutputsOfEveryKind) {
  const auto program = load(edited("shared.pt2", "model.json", R"({"user_output": {"arg": {"as_tensor": {"name": "linear"}}}})",
                                   R"({"user_input_mutation": {"arg": {"name": "linear"}, "user_input_name": "tokens"}})"));
  EXPECT_EQ(program.outputs[0].kind, ir::OutputKind::user_input_mutation);
  EXPECT_EQ(program.outputs[0].target, "tokens");
  EXPECT_EQ(program.call.output_names, (std::vector<std::string>{"output_0", "output_1"}));  // the tree no longer fits
  const auto parameter = load(edited("shared.pt2", "model.json", R"({"user_output": {"arg": {"as_tensor": {"name": "linear"}}}})",
                                     R"({"parameter_mutation": {"arg": {"name": "linear"}, "parameter_name": "left"}})"));
  EXPECT_EQ(parameter.outputs[0].kind, ir::OutputKind::parameter_mutation);
  const auto loss = load(
      edited("shared.pt2", "model.json", R"({"user_output": {"arg": {"as_tensor": {"name": "linear"}}}})", R"({"loss_output": {"arg": {"name": "linear"}}})"));
  EXPECT_EQ(loss.outputs[0].kind, ir::OutputKind::ignored);
}

TEST(Load, IntegerInputsAndLiteralOutputs) {
  const std::string graph = R"json({"inputs": [{"as_sym_int": {"as_name": "n"}}, {"as_int": 3}], "nodes": [], "tensor_values": {},
    "outputs": [{"as_none": true}, {"as_int": 7}, {"as_sym_int": {"as_name": "n"}}, {"as_float": 2.5}, {"as_bool": true}, {"as_string": "s"}],
    "sym_int_values": {"n": {"as_expr": {"expr_str": "Symbol('s1', integer=True)", "hint": {"as_int": 4}}}}, "sym_float_values": {}, "sym_bool_values": {}})json";
  std::string outputs;
  for (int i = 0; i < 6; ++i) outputs += std::string(i == 0 ? "" : ", ") + R"({"user_output": {"arg": {"as_none": true}}})";
  const std::string inputs = R"([{"user_input": {"arg": {"as_sym_int": {"as_name": "n"}}}}, {"user_input": {"arg": {"as_int": 3}}}])";
  const auto program = load(make_pt2(graph, inputs, "[" + outputs + "]"));
  EXPECT_EQ(program.inputs[0].kind, ir::InputKind::user);
  EXPECT_EQ(program.inputs[0].name, "n");
  EXPECT_EQ(std::get<sym::Expr>(program.graph.inputs[0]), sym::Expr::symbol("s1"));
  EXPECT_FALSE(program.symbols.at(0).unbacked);
  EXPECT_EQ(program.inputs[1].kind, ir::InputKind::constant);
  EXPECT_EQ(program.inputs[1].name, "input_1");
  EXPECT_TRUE(std::holds_alternative<ir::None>(program.graph.outputs[0]));
  EXPECT_EQ(std::get<sym::Expr>(program.graph.outputs[1]), sym::Expr(7));
  EXPECT_EQ(std::get<std::string>(program.graph.outputs[5]), "s");
}

// ---- trees

import::TreeSpec tree(std::string_view text, std::string_view namedtuples = "{}"){const base::JsonDocument fields(namedtuples, "fields");
return import::parse_treespec(fmt::format("[1, {}]", text), fields.root(), "tree");
}  // namespace

const std::string kLeaf = R"({"type": null, "context": null, "children_spec": []})";
std::string group(std::string_view type, std::string_view context, std::initializer_list<std::string> children) {
  std::string items;
  for (const auto& child : children) items += (items.empty() ? "" : ", ") + child;
  return fmt::format(R"({{"type": "{}", "context": {}, "children_spec": [{}]}})", type, context, items);
}
std::string tuple(std::initializer_list<std::string> children) { return group("builtins.tuple", R"("null")", children); }
std::string dict(std::string_view keys, std::initializer_list<std::string> children) { return group("builtins.dict", keys, children); }

TEST(TreeSpec, InputsAreNamedByParameterAndPath) {
  const auto in = tree(
      tuple({tuple({kLeaf, group("builtins.list", R"("null")", {kLeaf, kLeaf}), kLeaf}), dict(R"("[\"mask\"]")", {dict(R"("[\"a\", 3]")", {kLeaf, kLeaf})})}));
  const std::vector<std::string> names = {"x", "pair"};
  EXPECT_EQ(import::input_names(in, names), (std::vector<std::string>{"x", "pair.0", "pair.1", "arg_2", "mask.a", "mask.3"}));
}

TEST(TreeSpec, NamesAreUnique) {
  const auto in = tree(tuple({tuple({kLeaf}), dict(R"("[\"x\"]")", {kLeaf})}));
  const std::vector<std::string> names = {"x"};
  EXPECT_EQ(import::input_names(in, names), (std::vector<std::string>{"x", "input_1"}));
  EXPECT_EQ(import::input_names(tree(kLeaf), names), (std::vector<std::string>{"input"}));
}

TEST(TreeSpec, OutputsAreNamedByKeyOrPosition) {
  EXPECT_EQ(import::output_names(tree(kLeaf)), (std::vector<std::string>{"output_0"}));
  EXPECT_EQ(import::output_names(tree(tuple({kLeaf, tuple({kLeaf, kLeaf})}))), (std::vector<std::string>{"output_0", "output_1.0", "output_1.1"}));
  EXPECT_EQ(import::output_names(tree(dict(R"("[\"logits\", \"sides\"]")", {kLeaf, tuple({kLeaf})}))), (std::vector<std::string>{"logits", "sides.0"}));
  EXPECT_EQ(import::output_names(tree(group("collections.OrderedDict", R"("[\"a\"]")", {kLeaf}))), (std::vector<std::string>{"a"}));
  const std::string defaults = R"("{\"default_factory_module\": \"builtins\", \"default_factory_name\": \"int\", \"dict_context\": [\"k\"]}")";
  EXPECT_EQ(import::output_names(tree(group("collections.defaultdict", defaults, {kLeaf}))), (std::vector<std::string>{"k"}));
  EXPECT_EQ(import::output_names(tree(group("collections.namedtuple", R"("\"m.Point\"")", {kLeaf, kLeaf}), R"({"m.Point": {"field_names": ["x", "y"]}})")),
            (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(import::output_names(tree(group("collections.namedtuple", R"("\"m.Other\"")", {kLeaf}))), (std::vector<std::string>{"output_0"}));
  EXPECT_EQ(import::output_names(tree(dict(R"("[\"only\"]")", {kLeaf, kLeaf}))), (std::vector<std::string>{"output_0", "output_1"}));
}

TEST(TreeSpec, MalformedOnesAreRefused) {
  for (const char* text : {"{}", R"({"type": "builtins.tuple"})", R"({"type": 3, "context": "", "children_spec": []})",
                           R"({"type": "builtins.dict", "context": "[", "children_spec": []})"}) {
    EXPECT_THROW(tree(text), FormatError) << text;
  }
  EXPECT_THROW(import::parse_treespec("[1]", std::nullopt, "t"), FormatError);
}

}  // namespace reprise
}  // namespace reprise
