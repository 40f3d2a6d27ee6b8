// The programs that the checker of the runtime modes calls.
#pragma once

#include <cstdint>
#include <vector>

#include "reprise/module.h"

namespace reprise::test {
class FaultyDevice;
}
namespace reprise::test::checker {

using Values = std::vector<float>;

/// REPRISE_TEST_DEVICE, the CPU without it.
[[nodiscard]] Device checked_device();
/// Another one of its kind; its own where there is none.
[[nodiscard]] Device other_device();
/// The memory of the device when it is a stand-in (support/fake_gpus.cpp); null: it is a real one.
[[nodiscard]] FaultyDevice* checked_card();
/// How often the other device was used, where that is counted.
[[nodiscard]] std::uint64_t uses_of_other_device();

enum Program { kStraight, kBroken, kDynamic, kForeign, kRows, kMixed, kPrograms };
/// Where kDynamic's condition turns.
constexpr float kLimit = 50;
/// Of the norm.
constexpr double kEps = 0.25;
constexpr std::int64_t kWeightBytes[kPrograms] = {48, 48, 68, 48, 48, 48};
/// Programs without state that write no input: after = cache, and cache + w is a result, `moved`. Of these kRows may run at larger batches.
constexpr bool is_pure(unsigned program) { return program == kRows || program == kMixed; }

/// y = 4 x; twice = 2 x, read after y is written; total += cache; cache += w in three parts; after = total. Besides, kDynamic: positions of x != 0; total[0] <
/// kLimit ? total + w : total + total; kForeign: x normed with memory of its own for that, and half of the others left to foreign kernels, whose recordings
/// fail where the vector's length is even; kMixed: softmax of x. kBroken has a part that fell back.
[[nodiscard]] Module make_program(Program program);
/// Of a file that was saved for the first device.
[[nodiscard]] Module load_program(Program program);
/// Throws FormatError: a profile of the file is none.
void load_broken_program(Program program);

}  // namespace reprise::test::checker
