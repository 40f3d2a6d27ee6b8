#include "device/cuda/dependencies.h"

#include <gtest/gtest.h>

#include <array>

namespace reprise::device::cuda {
namespace {

Access reads(int slot, std::int64_t begin = 0, std::int64_t end = 64) { return {slot, begin, end, false}; }
Access writes(int slot, std::int64_t begin = 0, std::int64_t end = 64) { return {slot, begin, end, true}; }
Operation operation(std::vector<Access> accesses) { return {.work = MemoryFill{}, .accesses = std::move(accesses)}; }
Operation host_call() { return {.work = HostCall{}, .accesses = {}}; }

using Lists = std::vector<std::vector<int>>;

struct Table {
  std::array<std::byte, 1024> memory;
  /// Slot i begins at byte 64 * i.
  Table() {
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = memory.data() + 64 * i;
  }
  std::array<void*, 16> slots;
};

Lists find(const Table& table, const std::vector<Operation>& operations) { return find_dependencies(operations, table.slots.data()); }

TEST(Dependencies, FollowTheData) {
  const Table t;
  EXPECT_EQ(find(t, {operation({writes(0)}), operation({reads(0), writes(1)}), operation({reads(1), writes(2)})}), (Lists{{}, {0}, {1}}));
}

TEST(Dependencies, BranchesStandBesideEachOther) {
  const Table t;
  const auto found =
      find(t, {operation({writes(0)}), operation({reads(0), writes(1)}), operation({reads(0), writes(2)}), operation({reads(1), reads(2), writes(3)})});
  EXPECT_EQ(found, (Lists{{}, {0}, {0}, {2, 1}}));
}

TEST(Dependencies, WritersWaitForReaders) {
  const Table t;
  EXPECT_EQ(find(t, {operation({reads(0), writes(1)}), operation({writes(0)}), operation({writes(0)})}), (Lists{{}, {0}, {1}}));
}

TEST(Dependencies, ReadersDoNotMeet) {
  const Table t;
  EXPECT_EQ(find(t, {operation({reads(0), writes(1)}), operation({reads(0), writes(2)})}), (Lists{{}, {}}));
}

TEST(Dependencies, WhatIsImpliedIsLeftOut) {
  const Table t;
  // The third meets the first as well, but follows the second, which does.
  EXPECT_EQ(find(t, {operation({writes(0)}), operation({reads(0), writes(1)}), operation({reads(0), reads(1), writes(2)})}), (Lists{{}, {0}, {1}}));
}

TEST(Dependencies, PartsOfASlotAreApart) {
  const Table t;
  EXPECT_EQ(find(t, {operation({writes(0, 0, 32)}), operation({writes(0, 32, 64)}), operation({reads(0, 16, 48)})}), (Lists{{}, {}, {1, 0}}));
  EXPECT_EQ(find(t, {operation({writes(0, 0, 32)}), operation({reads(0, 8, 8)})}), (Lists{{}, {}}));  // nothing is touched
}

TEST(Dependencies, SlotsThatShareMemoryMeet) {
  Table t;
  t.slots[5] = t.memory.data() + 32;  // the second half of slot 0 and the first of slot 1
  EXPECT_EQ(find(t, {operation({writes(0)}), operation({writes(1)}), operation({writes(5)}), operation({writes(5, 64, 96)})}), (Lists{{}, {}, {1, 0}, {1}}));
}

TEST(Dependencies, HostCallsAreBarriers) {
  const Table t;
  EXPECT_EQ(find(t, {operation({writes(0)}), operation({writes(1)}), host_call(), operation({writes(2)}), operation({writes(3)})}),
            (Lists{{}, {}, {1, 0}, {2}, {2}}));
}

}  // namespace
}  // namespace reprise::device::cuda
