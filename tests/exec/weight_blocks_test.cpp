#include "exec/weight_blocks.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "reprise/error.h"

namespace reprise::exec {
namespace {

class WeightBlocks : public testing::Test {
 protected:
  device::DevicePtr device = device::open(Device::cpu());
  std::size_t page = WeightBlock(device, 1).committed();
};

TEST_F(WeightBlocks, TakeThePagesOfWhatWasAdded) {
  WeightBlock block(device, 4 * page);
  const std::byte* first = block.add(1);
  const std::byte* second = block.add(page);
  EXPECT_EQ(second - first, 256);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 256, 0u);
  EXPECT_EQ(block.used(), 256 + page);
  EXPECT_EQ(block.committed(), 2 * page);
  EXPECT_EQ(block.add(3 * page), nullptr);
  EXPECT_EQ(block.used(), 256 + page);
  EXPECT_NE(block.add(3 * page - 256), nullptr);
  EXPECT_EQ(block.committed(), 4 * page);
  block.take_back(page + 1);
  EXPECT_EQ(block.committed(), 2 * page);
}

TEST_F(WeightBlocks, AreWorthEmptyingWhenThatGivesPagesBackOrRoomIsLost) {
  WeightBlock block(device, 8 * page);
  (void)block.add(6 * page);
  EXPECT_FALSE(block.is_worth_emptying(6 * page));  // no hole
  EXPECT_FALSE(block.is_worth_emptying(5 * page + 256));
  EXPECT_TRUE(block.is_worth_emptying(5 * page));
  block.take_back(3 * page);
  EXPECT_FALSE(block.is_worth_emptying(3 * page));
  EXPECT_TRUE(block.is_worth_emptying(3 * page - 256));  // less than half of it, and nothing more can be added
}

TEST_F(WeightBlocks, AreFilledOneAfterTheOther) {
  BlockFiller filler(device, {});
  const auto first = filler.add(WeightBlock::kBytes - 1000), large = filler.add(3 * WeightBlock::kBytes), second = filler.add(2000), third = filler.add(900);
  filler.keep();
  EXPECT_EQ(large.block->used(), 3 * WeightBlock::kBytes);
  EXPECT_NE(first.block, large.block);
  EXPECT_NE(second.block, first.block);
  EXPECT_NE(second.block, large.block);
  EXPECT_EQ(third.block, second.block);  // 1000 bytes less what the first one's end is rounded by are left in the first
  BlockFiller next(device, {second.block});
  EXPECT_EQ(next.add(5).block, second.block);
}

TEST_F(WeightBlocks, WhatIsNotKeptGoes) {
  std::shared_ptr<WeightBlock> open;
  {
    BlockFiller filler(device, {});
    open = filler.add(page).block;
    filler.keep();
  }
  std::weak_ptr<WeightBlock> fresh;
  {
    BlockFiller filler(device, {open});
    EXPECT_EQ(filler.add(2 * page).block, open);
    fresh = filler.add(WeightBlock::kBytes).block;
    EXPECT_EQ(open->committed(), 3 * page);
  }
  EXPECT_TRUE(fresh.expired());
  EXPECT_EQ(open->used(), page);
  EXPECT_EQ(open->committed(), page);
}

}  // namespace
}  // namespace reprise::exec
