// Several optimization profiles in one module.
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <optional>

#include "plan/rpz.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using runtime::kAutoProfile;
using runtime::optimization_profile;

/// y = 2 x + 1 over [n]: 1..4 and 2..16 and 8..64.
PlanMaker maker() {
  PlanMaker m;
  const sym::Expr n = m.symbol("n", 1, 64);
  const Ref x = m.input("x", {n}), y = m.output("y", {n});
  m.affine(x, y, 2, 1);
  m.plan.profiles = {{{1}, {2}, {4}}, {{2}, {8}, {16}}, {{8}, {32}, {64}}};
  return m;
}
Module three_profiles() {
  auto m = maker();
  return module_of(m);
}
void expect_right(const Module& module, std::size_t n) { EXPECT_EQ(values(call(module, {floats(std::vector<float>(n, 3))})[0]), std::vector<float>(n, 7)); }
int profile_after(const Module& module, std::size_t n) {
  expect_right(module, n);
  return module.active_profile();
}
std::uint64_t count_of(const std::vector<ReasonCount>& list, const std::string& reason) {
  for (const auto& entry : list)
    if (entry.reason == reason) return entry.count;
  return 0;
}

TEST(Profiles, AutoKeepsTheActiveOneWhenItFitsElseTakesTheFirst) {
  const Module module = three_profiles();
  EXPECT_EQ(module.profile_count(), 3);
  EXPECT_EQ(module.active_profile(), 0);
  for (const bool scoped : {false, true}) {
    std::optional<runtime::ModuleScope> scope;
    if (scoped) scope.emplace(optimization_profile(module, kAutoProfile));
    EXPECT_EQ(profile_after(module, 4), 0);
    EXPECT_EQ(profile_after(module, 5), 1);
    EXPECT_EQ(profile_after(module, 3), 1) << "fits the active one";
    EXPECT_EQ(profile_after(module, 20), 2);
    EXPECT_EQ(profile_after(module, 16), 2);
    EXPECT_EQ(profile_after(module, 2), 0) << "the first that fits";
  }
}

TEST(Profiles, AFixedOneIsTheOnlyOne) {
  const Module module = three_profiles();
  const auto scope = optimization_profile(module, 1);
  EXPECT_EQ(module.active_profile(), 1);
  EXPECT_EQ(profile_after(module, 3), 1);
  EXPECT_EQ(message_of<ShapeError>([&] { expect_right(module, 1); }),
            "[run/inputs] input 'x' dimension 0 does not fit optimization profile 1 (got 1, want 2..16)");
  EXPECT_EQ(message_of<ShapeError>([&] { expect_right(module, 17); }),
            "[run/inputs] input 'x' dimension 0 does not fit optimization profile 1 (got 17, want 2..16)");
  EXPECT_EQ(module.active_profile(), 1);
}

TEST(Profiles, ScopesBringBackWhatWasActive) {
  const Module module = three_profiles();
  EXPECT_EQ(profile_after(module, 5), 1);
  {
    auto outer = optimization_profile(module, 2);
    {
      const auto inner = optimization_profile(module);
      EXPECT_EQ(module.active_profile(), 2);
      EXPECT_EQ(profile_after(module, 1), 0);
      outer.close();  // out of order
      EXPECT_EQ(module.active_profile(), 0);
    }
    EXPECT_EQ(module.active_profile(), 1);
  }
  EXPECT_THROW(
      {
        const auto scope = optimization_profile(module, 0);
        expect_right(module, 9);
      },
      ShapeError);
  EXPECT_EQ(module.active_profile(), 1);
  EXPECT_EQ(profile_after(module, 4), 1);
}

TEST(Profiles, AnIndexThatIsNotThereIsAnError) {
  const Module module = three_profiles();
  for (const int index : {3, -2})
    EXPECT_EQ(message_of<InvalidArgument>([&] { (void)optimization_profile(module, index); }),
              "[run/profile] there is no optimization profile of that index (got " + std::to_string(index) + ", want 0..2)");
  EXPECT_THROW((void)module.inputs(3), InvalidArgument);
  EXPECT_EQ(module.active_profile(), 0);
}

TEST(Profiles, SizesThatNoneAdmitsAreAnErrorThatNamesThemAll) {
  auto m = maker();
  m.plan.profiles.pop_back();
  const Module module = module_of(m);
  EXPECT_EQ(message_of<ShapeError>([&] { expect_right(module, 17); }),
            "[run/inputs] input 'x' dimension 0 fits no optimization profile (got 17, want 1..4 or 2..16)");
  EXPECT_EQ(module.active_profile(), 0);
}

TEST(Profiles, AChangeRecordsAnewAndSaysWhy) {
  const Module module = three_profiles();
  const auto graphs = runtime::enable_cudagraphs(module);
  expect_right(module, 3);
  expect_right(module, 3);
  EXPECT_EQ(module.stats().records, 1u);
  {
    const auto scope = optimization_profile(module, 1);
    expect_right(module, 3);
    expect_right(module, 3);
  }
  EXPECT_EQ(module.stats().records, 2u);
  EXPECT_EQ(count_of(module.stats().records_by, "first_sight"), 1u);
  EXPECT_EQ(count_of(module.stats().records_by, "profile"), 1u);
  expect_right(module, 3);  // both are held
  EXPECT_EQ(module.stats().records, 2u);
}

TEST(Profiles, TheSignatureTellsEachOnesBounds) {
  const Module module = three_profiles();
  EXPECT_EQ(module.inputs()[0].max, std::vector<std::int64_t>{4});
  EXPECT_EQ(module.inputs(1)[0].opt, std::vector<std::int64_t>{8});
  EXPECT_EQ(module.outputs(2)[0].min, std::vector<std::int64_t>{8});
}

/// y = x: with the profiles above.
PlanMaker copier() {
  PlanMaker m;
  const sym::Expr n = m.symbol("n", 1, 64);
  const Ref x = m.input("x", {n}), y = m.output("y", {n});
  m.add(core::Op::copy, {x}, {y});
  m.plan.profiles = maker().plan.profiles;
  return m;
}
std::string temporary_file() { return (std::filesystem::temp_directory_path() / ("reprise_profiles_test" + std::to_string(::getpid()))).string(); }

TEST(Profiles, AreSavedWithTheModule) {
  const auto path = temporary_file();
  plan::save(*copier().finish(), path);
  const Module module = Module::load(path);
  std::filesystem::remove(path);
  EXPECT_EQ(module.profile_count(), 3);
  EXPECT_EQ(values(call(module, {floats(std::vector<float>(40, 3))})[0]), std::vector<float>(40, 3));
  EXPECT_EQ(module.active_profile(), 2);
}

TEST(Profiles, OptLargerThanMaxIsAnError) {
  const auto path = temporary_file();
  auto m = copier();
  m.plan.profiles[1].opt = {17};
  plan::save(*m.finish(), path);
  const auto message = message_of<FormatError>([&] { (void)Module::load(path); });
  EXPECT_NE(message.find("profile 1 symbol 0 breaks min <= opt <= max"), std::string::npos) << message;
  std::filesystem::remove(path);
}

TEST(Profiles, ReplicasStartWithTheActiveOne) {
  const Module module = three_profiles();
  EXPECT_EQ(profile_after(module, 5), 1);
  EXPECT_EQ(module.to(Device::cpu(1)).active_profile(), 1);
}

}  // namespace
}  // namespace reprise::test
