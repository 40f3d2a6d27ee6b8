#include "exec/residency.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace reprise::exec {
namespace {

using Readers = std::vector<std::vector<int>>;

Readers one_each(std::size_t count) {
  Readers readers;
  for (std::size_t i = 0; i < count; ++i) readers.push_back({static_cast<int>(i)});
  return readers;
}

std::size_t resident_bytes(const std::vector<StreamableWeight>& weights, const Residency& residency, int engine = -1) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (residency.resident[i] && (engine < 0 || weights[i].engine == engine)) bytes += weights[i].bytes;
  return bytes;
}

std::size_t count(const Residency& residency) { return static_cast<std::size_t>(std::count(residency.resident.begin(), residency.resident.end(), true)); }

constexpr std::size_t kMegabyte = std::size_t{1} << 20;

TEST(Residency, SplitsExactlyAndWithinAByte) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::size_t> parts(1 + random() % 7);
    for (auto& part : parts) part = random() % 1000000007;
    const std::size_t total = std::reduce(parts.begin(), parts.end()), budget = random() % (total + 1);
    const auto shares = split_budget(budget, parts);
    EXPECT_EQ(std::reduce(shares.begin(), shares.end()), budget);
    for (std::size_t i = 0; i < parts.size(); ++i)
      EXPECT_LE(std::abs(static_cast<double>(shares[i]) - static_cast<double>(budget) * static_cast<double>(parts[i]) / static_cast<double>(total)), 1);
  }
  EXPECT_EQ(split_budget(5, std::vector<std::size_t>{0, 0}), (std::vector<std::size_t>{0, 0}));
}

TEST(Residency, NothingAndEverything) {
  const std::vector<StreamableWeight> weights(8, {.bytes = kMegabyte});
  const auto none = choose_resident(weights, one_each(8), 0), all = choose_resident(weights, one_each(8), 8 * kMegabyte);
  EXPECT_EQ(count(none), 0u);
  EXPECT_EQ(none.slots, 2);
  EXPECT_EQ(count(all), 8u);
  EXPECT_EQ(all.slots, 0);
  EXPECT_EQ(choose_resident({}, {}, 0).slots, 0);
}

TEST(Residency, SlotsAreWithinABudgetThatHasRoomForThem) {
  const std::vector<StreamableWeight> weights(16, {.bytes = kMegabyte});
  const auto half = choose_resident(weights, one_each(16), 8 * kMegabyte);
  EXPECT_EQ(half.slots, 2);
  EXPECT_EQ(count(half), 6u);
  const auto tight = choose_resident(weights, one_each(16), kMegabyte);
  EXPECT_EQ(count(tight), 1u);  // the slots come on top
  const auto wide = choose_resident(weights, one_each(16), 14 * kMegabyte);
  EXPECT_EQ(wide.slots, 3);
  EXPECT_EQ(count(wide), 11u);
}

TEST(Residency, WhatIsCopiedIsSpreadOverTheProgram) {
  const std::vector<StreamableWeight> weights(64, {.bytes = kMegabyte});
  const auto half = choose_resident(weights, one_each(64), 34 * kMegabyte);
  EXPECT_GE(count(half), 31u);
  for (std::size_t i = 0; i + 4 <= 64; i += 4) {
    const auto begin = half.resident.begin() + static_cast<std::ptrdiff_t>(i);
    EXPECT_NEAR(static_cast<double>(std::count(begin, begin + 4, true)), 2, 1) << i;
  }
}

TEST(Residency, KeepsALargeWeightThatWouldMakeSlotsLarge) {
  std::vector<StreamableWeight> weights(20, {.bytes = kMegabyte});
  weights[7].bytes = 10 * kMegabyte;
  const auto chosen = choose_resident(weights, one_each(20), 16 * kMegabyte);
  EXPECT_TRUE(chosen.resident[7]);
  EXPECT_EQ(count(chosen), 4u);  // and three small ones beside three slots
}

TEST(Residency, KeepsSmallWeightsAndThoseReadOftenFirst) {
  std::vector<StreamableWeight> weights(12, {.bytes = kMegabyte});
  weights[3].bytes = weights[8].bytes = 1000;
  weights[11].uses = 5;
  weights[0].read_in_place = true;
  const auto chosen = choose_resident(weights, one_each(12), 3 * kMegabyte + 5000);
  EXPECT_TRUE(chosen.resident[3] && chosen.resident[8] && chosen.resident[11]);
  EXPECT_FALSE(chosen.resident[0]);
}

TEST(Residency, ATableIsResidentWhereNothingElseNeedsTheRoom) {
  std::vector<StreamableWeight> weights(12, {.bytes = kMegabyte});
  weights[0] = {.bytes = 10 * kMegabyte, .read_in_place = true};
  const auto all = choose_resident(weights, one_each(12), 21 * kMegabyte);
  EXPECT_EQ(count(all), 12u);
  EXPECT_EQ(all.slots, 0);
  EXPECT_FALSE(choose_resident(weights, one_each(12), 20 * kMegabyte).resident[0]);
}

TEST(Residency, NoEngineTakesMoreThanItsShare) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<StreamableWeight> weights(1 + random() % 30);
    std::size_t total = 0;
    for (auto& w : weights) {
      w = {.bytes = random() % 3 == 0 ? random() % 1000 : random() % kMegabyte,
           .engine = static_cast<int>(random() % 3),
           .uses = 1 + static_cast<int>(random() % 2)};
      total += w.bytes;
    }
    const std::size_t budget = random() % (total + 1);
    const auto chosen = choose_resident(weights, one_each(weights.size()), budget);
    EXPECT_EQ(std::reduce(chosen.engine_budgets.begin(), chosen.engine_budgets.end()), budget);
    for (std::size_t e = 0; e < chosen.engine_budgets.size(); ++e) EXPECT_LE(resident_bytes(weights, chosen, static_cast<int>(e)), chosen.engine_budgets[e]);
  }
}

}  // namespace
}  // namespace reprise::exec
