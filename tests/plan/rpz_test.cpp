// The `.rpz` format: round trip, a golden file of this version, and every kind of damage.
#include "plan/rpz.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "plan/json_write.h"
#include "reprise/error.h"
#include "support/plan_maker.h"
#include "temp_dir.h"

namespace reprise::plan {
namespace {

using testing_support::message_of;
using testing_support::read_file;
using testing_support::TempDir;

// y = 2 x + 1 with a weight, a state, a symbol and a constant input: something of every list.
PlanPtr sample_plan() {
  test::PlanMaker m;
  const auto n = m.symbol("s0", 1, 16);
  const auto x = m.input("x", {n, 4});
  m.constant_input("flip", true);
  const auto y = m.output("y", {n, 4});
  m.weight("w", {1, 2, 3, 4});
  m.state("count", {0});
  auto program = std::make_shared<core::ScalarProgram>();
  program->inputs = {DType::f32};
  program->symbols = {n};
  program->code = {{.op = core::ScalarOp::input, .type = DType::f32},
                   {.op = core::ScalarOp::constant, .type = DType::f32, .imm_real = 2},
                   {.op = core::ScalarOp::mul, .type = DType::f32, .a = 0, .b = 1},
                   {.op = core::ScalarOp::symbol, .type = DType::f32, .imm_int = 0},
                   {.op = core::ScalarOp::add, .type = DType::f32, .a = 2, .b = 3}};
  program->outputs = {4};
  m.add(core::Op::pointwise, {x}, {y}, core::Attrs{{"program", core::ScalarProgramPtr(program)}});
  return m.finish();
}

std::string saved(const Plan& plan) {
  const TempDir temp;
  save(plan, (temp / "m.rpz").string());
  return read_file(temp / "m.rpz");
}

PlanPtr parse(const std::string& bytes, bool check_crc = true) {
  const auto owner = std::make_shared<const std::string>(bytes);
  return load(std::as_bytes(std::span(*owner)), owner, "m.rpz", check_crc);
}

std::string refusal(const std::string& bytes, bool check_crc = true) {
  return message_of<FormatError>([&] { parse(bytes, check_crc); });
}

// Replaces text of equal length anywhere in the file; checksums are off where this is used.
std::string edited(std::string bytes, const std::string& from, const std::string& to) {
  const auto at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(from.size(), to.size());
  if (at != std::string::npos) bytes.replace(at, to.size(), to);
  return bytes;
}

void expect_same(const Plan& a, const Plan& b) {
  EXPECT_EQ(print(a), print(b));
  EXPECT_EQ(plan_json(a), plan_json(b));
  const auto places = [](std::size_t n) { return std::vector<TensorEntry>(n); };
  EXPECT_EQ(manifest_json(a, places(a.weights.size()), places(a.states.size()), places(a.inputs.size())),
            manifest_json(b, places(b.weights.size()), places(b.states.size()), places(b.inputs.size())));
  for (std::size_t i = 0; i < a.weights.size(); ++i) {
    EXPECT_TRUE(
        std::equal(a.weights[i].data.data_as<char>(), a.weights[i].data.data_as<char>() + a.weights[i].data.nbytes(), b.weights[i].data.data_as<char>()));
  }
}

TEST(Rpz, RoundTripKeepsEverything) { expect_same(*sample_plan(), *parse(saved(*sample_plan()))); }

TEST(Rpz, EqualPlansGiveEqualBytes) { EXPECT_EQ(saved(*sample_plan()), saved(*sample_plan())); }

// Set REPRISE_WRITE_GOLDEN=1 to write it anew when the format's version changes, and only then.
TEST(Rpz, GoldenFileOfThisVersionLoads) {
  const std::string path = std::string(REPRISE_TEST_MODELS) + "/../plan/data/format_1_0.rpz";
  if (std::getenv("REPRISE_WRITE_GOLDEN") != nullptr) save(*sample_plan(), path);
  const auto plan = load(path);
  expect_same(*sample_plan(), *plan);
}

TEST(Rpz, WeightsAreMappedAndAligned) {
  const TempDir temp;
  save(*sample_plan(), (temp / "m.rpz").string());
  const auto plan = load((temp / "m.rpz").string());
  ASSERT_EQ(plan->weights.size(), 1u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(plan->weights[0].data.data()) % 64, 0u);
}

TEST(Rpz, SectionsOfADeviceAreKeptAsTheyAre) {
  auto plan = *sample_plan();
  using namespace std::string_literals;
  const std::string content = "\177ELF or whatever\0 it is"s;
  auto bytes = Tensor::empty(std::vector<std::int64_t>{static_cast<std::int64_t>(content.size())}, DType::u8);
  std::copy(content.begin(), content.end(), bytes.data_as<char>());
  plan.sections = {{"k.cubin", bytes}, {"choices.txt", Tensor::empty(std::vector<std::int64_t>{0}, DType::u8)}};
  const std::string file = saved(plan);
  const auto loaded = parse(file);
  ASSERT_EQ(loaded->sections.size(), 2u);
  EXPECT_EQ(loaded->sections[0].name, "k.cubin");
  EXPECT_EQ(std::string(loaded->sections[0].bytes.data_as<char>(), loaded->sections[0].bytes.nbytes()), content);
  EXPECT_EQ(loaded->sections[1].bytes.numel(), 0);
  EXPECT_EQ(saved(*loaded), file);
  const auto message = refusal(edited(file, "ELF or whatever", "ELF of whatever"));
  EXPECT_NE(message.find("entry 'device/k.cubin': checksum differs"), std::string::npos) << message;
}

TEST(Rpz, SharedMemoryIsWrittenOnce) {
  auto plan = *sample_plan();
  auto big = Tensor::zeros(std::vector<std::int64_t>{1 << 16}, DType::f32);
  plan.weights.push_back({"a", big});
  const auto one = saved(plan).size();
  plan.weights.push_back({"b", big});
  EXPECT_LT(saved(plan).size(), one + 4096);
}

TEST(Rpz, NewerMajorIsRefusedByName) {
  const auto message = refusal(edited(saved(*sample_plan()), "\"format\":[1,3]", "\"format\":[9,0]"), false);
  EXPECT_NE(message.find("major format version (got 9.0, want 1.x): it was written by a newer Reprise"), std::string::npos) << message;
}

TEST(Rpz, NewerMinorLoads) { EXPECT_NE(parse(edited(saved(*sample_plan()), "\"format\":[1,3]", "\"format\":[1,7]"), false), nullptr); }

TEST(Rpz, ChecksumsTellDamage) {
  EXPECT_NE(refusal(edited(saved(*sample_plan()), "\"fallback_ops\"", "\"fallback_opz\"")).find("manifest.json"), std::string::npos);
}

TEST(Rpz, TruncationAtEveryOffsetIsRefused) {
  const auto bytes = saved(*sample_plan());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto cut = bytes.substr(0, n);
    EXPECT_THROW(parse(cut), FormatError) << n;
  }
}

TEST(Rpz, DamagedFieldsAreRefusedByName) {
  const auto bytes = saved(*sample_plan());
  EXPECT_NE(refusal(edited(bytes, "\"op\":\"pointwise\"", "\"op\":\"pointwoes\""), false).find("pointwoes"), std::string::npos);
  EXPECT_NE(refusal(edited(bytes, "\"buffer\":1,", "\"buffer\":9,"), false).find("names buffer 9 of"), std::string::npos);
  EXPECT_NE(refusal(edited(bytes, "\"segment\":0", "\"segment\":7"), false).find("segment 7 of 1"), std::string::npos);
  EXPECT_NE(refusal(edited(bytes, "weights/0\",\"offset\":0", "weights/0\",\"offset\":8"), false).find("weights/0': the tensor reaches outside"),
            std::string::npos);
  EXPECT_NE(refusal(edited(bytes, "(* 16 s0)", "(* 16 s9)"), false).find("unknown symbol 's9'"), std::string::npos);
}

// Every byte of the two JSON entries changed in turn: refused or loaded, never worse.
TEST(Rpz, EveryChangedByteIsSurvived) {
  const auto bytes = saved(*sample_plan());
  const auto begin = bytes.find("{\"buffers\"");
  ASSERT_NE(begin, std::string::npos);
  int refused = 0;
  for (std::size_t i = begin; i < bytes.size(); ++i) {
    for (const char c : {'9', '-', '"', '\0'}) {
      auto changed = bytes;
      changed[i] = c;
      try {
        parse(changed, false);
      } catch (const FormatError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Rpz, OtherFilesAreNamed) {
  EXPECT_NE(message_of<FormatError>([] { load(std::string(REPRISE_TEST_MODELS) + "/generations/torch-2.13.0/cond.pt2"); }).find("it is a .pt2 program"),
            std::string::npos);
  EXPECT_THROW(load("/no/such/file.rpz"), FormatError);
}

TEST(Rpz, FullDiskAndBadFoldersAreWriteErrors) {
  EXPECT_THROW(save(*sample_plan(), "/dev/full"), WriteError);
  EXPECT_THROW(save(*sample_plan(), "/no/such/folder/m.rpz"), WriteError);
}

// ---- verify -----------------------------------------------------------------------------------------------------------------------------

template <class Change>
std::string after(Change change) {
  auto plan = *sample_plan();
  change(plan);
  return message_of<FormatError>([&] { verify(plan); });
}

TEST(VerifyPlan, NamesWhatIsWrong) {
  const auto first = [](Plan& p) -> Command& { return p.blocks[0].commands[0]; };
  EXPECT_NE(after([](Plan& p) { p.blocks.clear(); }).find("no blocks"), std::string::npos);
  EXPECT_NE(after([](Plan& p) { p.profiles.clear(); }).find("no profiles"), std::string::npos);
  EXPECT_NE(after([](Plan& p) { p.profiles[0].min[0] = 17; }).find("min <= opt <= max"), std::string::npos);
  EXPECT_NE(after([&](Plan& p) { first(p).position = 3; }).find("stands at position 3 (want 0)"), std::string::npos);
  EXPECT_NE(after([&](Plan& p) { first(p).outputs[0].buffer = first(p).inputs[0].buffer; }).find("writes to input buffer"), std::string::npos);
  EXPECT_NE(after([&](Plan& p) { first(p).inputs.push_back(first(p).inputs[0]); }).find("operands of its program"), std::string::npos);
  EXPECT_NE(after([&](Plan& p) { first(p).op = core::Op::write; }).find("cannot hold 'write'"), std::string::npos);
  EXPECT_NE(after([&](Plan& p) { first(p).op = core::Op::foreign; }).find("'name'"), std::string::npos);
  EXPECT_NE(after([&](Plan& p) { first(p).blocks = {0, 0}; }).find("has 2 blocks"), std::string::npos);
  EXPECT_NE(after([&](Plan& p) { first(p).defines.push_back({0, 0, 0}); }).find("which is none of data"), std::string::npos);
  EXPECT_NE(after([](Plan& p) { p.blocks.emplace_back(); }).find("block 1 is used 0 times"), std::string::npos);
}

}  // namespace
}  // namespace reprise::plan
