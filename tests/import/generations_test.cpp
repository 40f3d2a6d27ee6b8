// The same six programs as six versions of PyTorch saved them, in both forms. What is expected follows from their source, make_generations.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "import/archives.h"
#include "import/pt2/load.h"
#include "tensor/npz.h"

namespace reprise {
namespace {

using testing_support::generation_path;
using testing_support::kVersions;

struct Case {
  std::string version, program;
  bool core = false;

  [[nodiscard]] std::string file() const { return program + (core ? ".core.pt2" : ".pt2"); }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string_view version : kVersions) {
    for (const char* program : {"convnet", "dynamic", "state", "shared", "cond", "data_dependent"}) {
      for (const bool core : {false, true}) all.push_back({std::string(version), program, core});
    }
  }
  return all;
}

class Generations : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { program_ = import::load_pt2(generation_path(GetParam().version, GetParam().file())); }

  [[nodiscard]] std::vector<const ir::ProgramInput*> inputs(ir::InputKind kind) const {
    std::vector<const ir::ProgramInput*> found;
    for (const auto& input : program_.inputs) {
      if (input.kind == kind) found.push_back(&input);
    }
    return found;
  }
  [[nodiscard]] std::size_t count(const std::string& target) const {
    return static_cast<std::size_t>(std::count_if(program_.graph.nodes.begin(), program_.graph.nodes.end(), [&](const auto& n) { return n.target == target; }));
  }
  [[nodiscard]] const Tensor& weight(const std::string& name) const { return program_.tensors.at(name).data; }
  [[nodiscard]] std::vector<float> floats(const std::string& name) const {
    const Tensor t = weight(name).contiguous();
    return {t.data_as<float>(), t.data_as<float>() + t.numel()};
  }
  [[nodiscard]] sym::Shape input_sizes(const std::string& name) const { return program_.graph.tensors.at(name).sizes; }

  void check_convnet() const;
  void check_dynamic() const;
  void check_state() const;
  void check_shared() const;
  void check_cond() const;
  void check_data_dependent() const;

  ir::Program program_;
};

void Generations::check_convnet() const {
  EXPECT_EQ(inputs(ir::InputKind::parameter).size(), 7u);
  EXPECT_EQ(input_sizes("x"), (sym::Shape{2, 3, 16, 16}));
  EXPECT_EQ(program_.graph.tensors.at(std::get<ir::TensorName>(program_.graph.outputs[0]).name).sizes, (sym::Shape{2, 10}));
  EXPECT_EQ(floats("body.1.running_var"), std::vector<float>(8, 1.0f));
  EXPECT_EQ(floats("body.1.running_mean"), std::vector<float>(8, 0.0f));
  EXPECT_EQ(weight("body.4.weight").sizes(), (std::vector<std::int64_t>{16, 4, 3, 3}));
  for (const float w : floats("body.0.weight")) EXPECT_LT(std::abs(w), 0.2f);  // uniform within 1/sqrt(27)
  EXPECT_EQ(count("aten.conv2d.default"), GetParam().core ? 0u : 2u);
}

void Generations::check_dynamic() const {
  ASSERT_EQ(program_.symbols.size(), 2);
  const auto& batch = program_.symbols.at(0);
  const auto& seq = program_.symbols.at(1);
  EXPECT_EQ(input_sizes("x"), (sym::Shape{sym::Expr::symbol(batch.name), sym::Expr::symbol(seq.name), 32}));
  EXPECT_FALSE(batch.unbacked || seq.unbacked);
  EXPECT_EQ(batch.range.min, 1);
  EXPECT_EQ(batch.range.max, 64);
  EXPECT_EQ(seq.range.max, 256);
  EXPECT_EQ(batch.hint, 3);
  EXPECT_EQ(seq.hint, 5);
  ASSERT_EQ(program_.graph.outputs.size(), 2u);
  EXPECT_EQ(std::get<sym::Expr>(program_.graph.outputs[1]), sym::Expr::symbol(batch.name) * sym::Expr::symbol(seq.name));
  for (const auto& node : program_.graph.nodes)
    EXPECT_TRUE(node.target.starts_with("aten.") && node.target.find("sym_size") == std::string::npos) << node.target;
}

void Generations::check_state() const {
  EXPECT_EQ(inputs(ir::InputKind::buffer).size(), 2u);
  EXPECT_EQ(weight("step").dtype(), DType::i64);
  EXPECT_EQ(weight("step").data_as<std::int64_t>()[0], 0);
  EXPECT_EQ(floats("cache"), std::vector<float>(64, 0.0f));
  std::set<std::string> changed;
  for (const auto& output : program_.outputs) {
    if (output.kind == ir::OutputKind::buffer_mutation) changed.insert(output.target);
  }
  EXPECT_EQ(changed, GetParam().core ? (std::set<std::string>{"cache", "step"}) : std::set<std::string>{});
  EXPECT_EQ(count("aten.index_copy_.default"), GetParam().core ? 0u : 1u);
}

void Generations::check_shared() const {
  EXPECT_EQ(program_.call.input_names, (std::vector<std::string>{"tokens", "extra.bias.0", "flip"}));
  EXPECT_EQ(program_.call.output_names, (std::vector<std::string>{"logits", "sides.0", "sides.1"}));
  ASSERT_EQ(inputs(ir::InputKind::constant).size(), 1u);
  EXPECT_EQ(inputs(ir::InputKind::constant)[0]->name, "flip");
  EXPECT_FALSE(std::get<bool>(inputs(ir::InputKind::constant)[0]->constant));
  ASSERT_EQ(inputs(ir::InputKind::buffer).size(), 1u);
  EXPECT_FALSE(inputs(ir::InputKind::buffer)[0]->persistent);
  EXPECT_EQ(floats("scale"), (std::vector<float>{0.5f, 2, 1, 3, 0.25f, 1.5f}));
  EXPECT_EQ(floats("lifted_tensor_0"), (std::vector<float>{1, 0, 0, 0, 0, -1}));
  EXPECT_EQ(weight("left").storage(), weight("right").storage());
  EXPECT_EQ(weight("right").data_as<float>() - weight("left").data_as<float>(), 6);
  EXPECT_EQ(weight("left").strides(), (std::vector<std::int64_t>{12, 1}));
  if (program_.tensors.contains("embed.weight")) {
    EXPECT_EQ(weight("embed.weight").data(), weight("head.weight").data());
    EXPECT_EQ(weight("embed.weight").storage(), weight("head.weight").storage());
  }
  EXPECT_EQ(weight("head.weight").sizes(), (std::vector<std::int64_t>{11, 6}));
}

void Generations::check_cond() const {
  ASSERT_EQ(count("higher_order.cond"), 1u);
  const auto node = std::find_if(program_.graph.nodes.begin(), program_.graph.nodes.end(), [](const auto& n) { return n.target == "higher_order.cond"; });
  ASSERT_EQ(node->args.size(), 4u);
  const auto& yes = std::get<std::shared_ptr<const ir::AtenGraph>>(node->args[1].value);
  const auto& no = std::get<std::shared_ptr<const ir::AtenGraph>>(node->args[2].value);
  ASSERT_EQ(yes->nodes.size(), 2u);
  ASSERT_EQ(no->nodes.size(), 2u);
  EXPECT_EQ(yes->nodes[0].target, "aten.sin.default");
  EXPECT_EQ(no->nodes[0].target, "aten.cos.default");
  EXPECT_EQ(yes->inputs.size(), 1u);
  EXPECT_EQ(std::get<std::vector<std::optional<ir::TensorName>>>(node->args[3].value).at(0)->name, "x");
}

void Generations::check_data_dependent() const {
  ASSERT_EQ(program_.graph.outputs.size(), 2u);
  std::set<std::string> sizes;
  for (const auto& output : program_.graph.outputs) {
    const sym::Expr& rows = program_.graph.tensors.at(std::get<ir::TensorName>(output).name).sizes.at(0);
    ASSERT_TRUE(rows.is_symbol());
    const auto& symbol = program_.symbols.at(program_.symbols.find(rows.symbol_name()));
    EXPECT_TRUE(symbol.unbacked);
    EXPECT_EQ(symbol.range.min, 0);
    EXPECT_EQ(symbol.range.max, 30);
    sizes.insert(symbol.name);
  }
  EXPECT_EQ(sizes.size(), 2u);
  EXPECT_GE(count("aten._assert_scalar.default"), 2u);
  EXPECT_EQ(count("_operator.ge"), 0u);
}

TEST_P(Generations, LoadsWithItsSignatureSymbolsAndValues) {
  const Case& c = GetParam();
  EXPECT_TRUE(program_.torch_version.starts_with(c.version)) << program_.torch_version;
  EXPECT_EQ(program_.schema_major, 8);
  const std::map<std::string, int> minors = {{"2.6.0", 2}, {"2.7.1", 7}, {"2.8.0", 8}, {"2.9.1", 14}, {"2.11.0", 17}, {"2.13.0", 20}};
  if (c.version != "2.8.0") {
    EXPECT_EQ(program_.schema_minor, minors.at(c.version));
  }
  EXPECT_EQ(program_.functional, c.core);
  EXPECT_EQ(program_.inputs.size(), program_.graph.inputs.size());
  EXPECT_EQ(program_.outputs.size(), program_.graph.outputs.size());
  if (c.program == "convnet") check_convnet();
  if (c.program == "dynamic") check_dynamic();
  if (c.program == "state") check_state();
  if (c.program == "shared") check_shared();
  if (c.program == "cond") check_cond();
  if (c.program == "data_dependent") check_data_dependent();
}

/// PyTorch's samples are the inputs that stand beside the file.
TEST_P(Generations, SampleInputsAreThoseOfTheExport) {
  const auto arrays = tensor::load_npz(generation_path(GetParam().version, GetParam().program + ".inputs.npz"));
  ASSERT_EQ(program_.sample_inputs.size(), program_.call.input_names.size());
  ASSERT_EQ(arrays.size(), program_.sample_inputs.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const Tensor& sample = program_.sample_inputs[i];
    if (!sample.defined()) continue;
    EXPECT_EQ(sample.sizes(), arrays[i].second.sizes());
    const Tensor got = sample.contiguous(), want = arrays[i].second.contiguous();
    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.nbytes()), 0) << program_.call.input_names[i];
  }
}

TEST_P(Generations, EveryNodeHasASource) {
  for (const auto& node : program_.graph.nodes) {
    EXPECT_FALSE(node.source.name.empty() && !node.outputs.empty()) << node.target;
    if (GetParam().core) continue;  // decomposed nodes may have lost theirs
    EXPECT_TRUE(node.target == "aten._assert_scalar.default" || node.target.find("constrain") != std::string::npos || node.source.trace.starts_with("make.py:"))
        << node.source.trace;
  }
}

void PrintTo(const Case& c, std::ostream* out) { *out << c.version << " " << c.file(); }

INSTANTIATE_TEST_SUITE_P(All, Generations, testing::ValuesIn(cases()), [](const auto& param) {
  std::string name = "torch_" + param.param.version + "_" + param.param.program + (param.param.core ? "_core" : "");
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

/// The two forms of one program are of the same module.
TEST(GenerationPairs, HoldTheSameWeights) {
  for (const std::string_view version : kVersions) {
    const auto plain = import::load_pt2(generation_path(version, "convnet.pt2")), core = import::load_pt2(generation_path(version, "convnet.core.pt2"));
    for (const auto& [name, tensor] : plain.tensors) {
      const Tensor &a = tensor.data, &b = core.tensors.at(name).data;
      ASSERT_EQ(a.nbytes(), b.nbytes());
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.nbytes()), 0) << version << " " << name;
    }
  }
}

/// From 2.8 on payloads are aligned; every weight stays where the file has it.
TEST(Mapping, WeightsAreNotCopiedWhereAligned) {
  for (const std::string_view version : {"2.8.0", "2.9.1", "2.11.0", "2.13.0"}) {
    const auto file = base::MappedFile::open(generation_path(version, "convnet.pt2"));
    const auto program = import::load_pt2(file->bytes(), file, "convnet.pt2");
    const auto *begin = file->bytes().data(), *end = begin + file->bytes().size();
    int mapped = 0;
    for (const auto& [name, tensor] : program.tensors) {
      const auto* address = tensor.data.data_as<const std::byte>();
      EXPECT_TRUE(address >= begin && address < end) << version << " " << name;
      mapped += address >= begin && address < end;
    }
    EXPECT_GE(mapped, 10);
  }
}

TEST(Mapping, ProgramKeepsTheFileAlive) {
  auto program = std::make_unique<ir::Program>(import::load_pt2(generation_path("2.13.0", "shared.pt2")));
  const Tensor scale = program->tensors.at("scale").data;
  program.reset();
  EXPECT_EQ(scale.data_as<float>()[1], 2.0f);
}

}  // namespace
}  // namespace reprise
