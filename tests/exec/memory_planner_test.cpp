#include "exec/memory_planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "reprise/error.h"

namespace reprise::exec {
namespace {

std::size_t rounded(std::size_t bytes) { return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment; }

bool live_together(const BufferLife& a, const BufferLife& b) { return a.first <= b.last && b.first <= a.last; }

/// The most bytes that are alive at one command: no plan can be smaller.
std::size_t peak(const std::vector<BufferLife>& buffers) {
  std::size_t most = 0;
  for (const auto& at : buffers) {
    std::size_t live = 0;
    for (const auto& b : buffers) live += b.first <= at.first && at.first <= b.last ? rounded(b.bytes) : 0;
    most = std::max(most, live);
  }
  return most;
}

void check_valid(const std::vector<BufferLife>& buffers, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), buffers.size());
  std::size_t end = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].bytes == 0) continue;
    ASSERT_EQ(plan.offsets[i] % kBufferAlignment, 0u);
    end = std::max(end, plan.offsets[i] + rounded(buffers[i].bytes));
    for (std::size_t j = 0; j < i; ++j) {
      if (buffers[j].bytes == 0 || !live_together(buffers[i], buffers[j])) continue;
      const bool apart = plan.offsets[i] + buffers[i].bytes <= plan.offsets[j] || plan.offsets[j] + buffers[j].bytes <= plan.offsets[i];
      ASSERT_TRUE(apart) << i << " and " << j;
    }
  }
  ASSERT_EQ(plan.total_bytes, end);
}

std::vector<BufferLife> random_buffers(std::mt19937& random, int count, int commands) {
  std::vector<BufferLife> buffers;
  for (int i = 0; i < count; ++i) {
    const int first = static_cast<int>(random() % static_cast<unsigned>(commands));
    const int length = static_cast<int>(random() % 5);
    const std::size_t bytes = random() % 8 == 0 ? 0 : 1 + random() % (64u << (random() % 6));
    buffers.push_back({bytes, first, std::min(first + length, commands - 1)});
  }
  return buffers;
}

/// The best that any order of first fit reaches; for few buffers that is the optimum.
std::size_t brute_force(const std::vector<BufferLife>& buffers) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0u);
  std::size_t best = std::numeric_limits<std::size_t>::max();
  do {
    std::vector<std::size_t> offsets(buffers.size());
    std::size_t total = 0;
    for (std::size_t k = 0; k < order.size(); ++k) {
      const std::size_t i = order[k];
      bool moved = true;
      while (moved) {
        moved = false;
        for (std::size_t p = 0; p < k; ++p) {
          const std::size_t j = order[p];
          if (!live_together(buffers[i], buffers[j]) || rounded(buffers[j].bytes) == 0) continue;
          const bool clash = offsets[i] < offsets[j] + rounded(buffers[j].bytes) && offsets[j] < offsets[i] + rounded(buffers[i].bytes);
          if (clash) offsets[i] = offsets[j] + rounded(buffers[j].bytes), moved = true;
        }
      }
      total = std::max(total, offsets[i] + rounded(buffers[i].bytes));
    }
    best = std::min(best, total);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(MemoryPlanner, BuffersThatLiveTogetherNeverOverlap) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const auto buffers = random_buffers(random, 1 + round % 60, 1 + round % 40);
    const auto plan = plan_memory(buffers);
    check_valid(buffers, plan);
    EXPECT_GE(plan.total_bytes, peak(buffers));
  }
}

TEST(MemoryPlanner, ComesCloseToTheOptimum) {
  std::mt19937 random(2);
  double ours = 0, best = 0;
  for (int round = 0; round < 60; ++round) {
    auto buffers = random_buffers(random, 6, 8);
    const auto plan = plan_memory(buffers);
    check_valid(buffers, plan);
    const std::size_t optimum = brute_force(buffers);
    ASSERT_GE(plan.total_bytes, optimum);
    ASSERT_LE(plan.total_bytes, optimum * 2);
    ours += static_cast<double>(plan.total_bytes);
    best += static_cast<double>(optimum);
  }
  EXPECT_LE(ours, best * 1.05);
}

TEST(MemoryPlanner, AChainNeedsTwoBuffers) {
  std::vector<BufferLife> chain;
  for (int i = 0; i < 100; ++i) chain.push_back({1000, i, i + 1});
  EXPECT_EQ(plan_memory(chain).total_bytes, 2 * rounded(1000));
}

TEST(MemoryPlanner, FindsRoomBesideWhatLives) {
  std::mt19937 random(3);
  int inside = 0;
  for (int round = 0; round < 200; ++round) {
    const auto buffers = random_buffers(random, 1 + round % 40, 1 + round % 30);
    const auto plan = plan_memory(buffers);
    for (std::int32_t at = 0; at < 30; ++at) {
      const std::size_t bytes = 1 + random() % 3000, offset = free_at(plan, buffers, at, bytes);
      inside += offset + bytes <= plan.total_bytes;
      EXPECT_EQ(offset % kBufferAlignment, 0u);
      EXPECT_LE(offset, plan.total_bytes);
      for (std::size_t i = 0; i < buffers.size(); ++i) {
        const bool lives = buffers[i].bytes > 0 && buffers[i].first <= at && at <= buffers[i].last;
        EXPECT_TRUE(!lives || offset + bytes <= plan.offsets[i] || plan.offsets[i] + buffers[i].bytes <= offset) << "buffer " << i << " at " << at;
      }
    }
  }
  EXPECT_GT(inside, 100);
}

TEST(MemoryPlanner, FindsRoomBehindAllWhereThereIsNoneBetween) {
  const std::vector<BufferLife> buffers = {{1000, 0, 1}, {1000, 1, 2}};
  const auto plan = plan_memory(buffers);
  EXPECT_EQ(free_at(plan, buffers, 0, 2 * rounded(1000)), plan.offsets[1]);
  EXPECT_EQ(free_at(plan, buffers, 1, 1), plan.total_bytes);
  EXPECT_EQ(free_at(plan, buffers, 2, rounded(1000)), 0u);
  EXPECT_EQ(free_at(plan, buffers, 2, rounded(1000) + 1), plan.total_bytes);
  EXPECT_EQ(free_at(plan, buffers, 3, plan.total_bytes), 0u);
}

TEST(MemoryPlanner, NothingNeedsNothing) {
  EXPECT_EQ(plan_memory({}).total_bytes, 0u);
  const std::vector<BufferLife> empty = {{0, 0, 5}, {0, 2, 3}};
  EXPECT_EQ(plan_memory(empty).total_bytes, 0u);
}

TEST(MemoryPlanner, RefusesWhatNoAddressReaches) {
  const std::vector<BufferLife> huge = {{std::numeric_limits<std::size_t>::max() - 5, 0, 1}};
  EXPECT_THROW((void)plan_memory(huge), OutOfMemory);
}

}  // namespace
}  // namespace reprise::exec
