// What reading and writing of ZIP have in common. Field offsets and sizes are those of APPNOTE 4.3.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reprise::base {

constexpr std::size_t kLocalSize = 30;       // a local header without name and extra fields
constexpr std::uint32_t kIn64 = 0xffffffff;  // the number stands in the ZIP64 field

}  // namespace reprise::base
