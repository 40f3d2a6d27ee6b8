// The programs that the checker of the runtime modes calls.
#pragma once

#include <cstdint>
#include <vector>

#include "reprise/module.h"

namespace reprise::test::checker {

using Values = std::vector<float>;

/// REPRISE_TEST_DEVICE, the CPU without it.
[[nodiscard]] Device checked_device();

enum Program { kStraight, kBroken, kDynamic, kForeign, kPrograms };
/// Where kDynamic's condition turns.
constexpr float kLimit = 50;
constexpr std::int64_t kWeightBytes[kPrograms] = {48, 48, 68, 48};

/// y = 4 x; twice = 2 x, read after y is written; total += cache; cache += w in three parts; after = total; kDynamic also: positions of x != 0; total[0] <
/// kLimit ? total + w : total + total. kForeign leaves half of it to foreign kernels, whose recordings fail where the vector's length is even.
[[nodiscard]] Module make_program(Program program);

}  // namespace reprise::test::checker
