#include "exec/arena.h"

#include <gtest/gtest.h>

#include "reprise/error.h"

namespace reprise::exec {
namespace {

TEST(Arena, ReservesNothingBeforeItIsUsed) {
  const Arena arena(device::open(Device::cpu()), 1u << 20);
  EXPECT_EQ(arena.base(), nullptr);
  EXPECT_EQ(arena.reserved_bytes(), 0u);
}

TEST(Arena, GrowsWithoutMovingInsideItsReservation) {
  Arena arena(device::open(Device::cpu()), 64u << 20);
  arena.ensure(0);
  std::byte* const base = arena.base();
  ASSERT_NE(base, nullptr);
  base[0] = std::byte{42};
  for (const std::size_t bytes : {100u, 1u << 20, 64u << 20}) {
    arena.ensure(bytes);
    EXPECT_EQ(arena.base(), base);
    EXPECT_GE(arena.committed_bytes(), bytes);
    base[bytes - 1] = std::byte{1};
  }
  EXPECT_EQ(base[0], std::byte{42});
  arena.ensure(1);
  EXPECT_GE(arena.committed_bytes(), 64u << 20);
}

TEST(Arena, MovesOnlyPastItsReservation) {
  Arena arena(device::open(Device::cpu()), 4096);
  arena.ensure(4096);
  arena.ensure(1u << 20);
  EXPECT_GE(arena.committed_bytes(), 1u << 20);
  arena.base()[(1u << 20) - 1] = std::byte{1};
}

TEST(Arena, KeepsWhatItHasWhenMemoryCannotBeHad) {
  Arena arena(device::open(Device::cpu()), 0);
  arena.ensure(1000);
  std::byte* const base = arena.base();
  base[999] = std::byte{5};
  EXPECT_THROW(arena.ensure(std::size_t{1} << 60), OutOfMemory);
  EXPECT_EQ(arena.base(), base);
  EXPECT_EQ(base[999], std::byte{5});
}

}  // namespace
}  // namespace reprise::exec
