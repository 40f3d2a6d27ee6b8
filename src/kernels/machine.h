// The machine's processor, as far as measured times depend on it.
#pragma once

#include <cstddef>
#include <string>

namespace reprise::kernels {

/// As the system names it, with what tells its generation: "Intel(R) Xeon(R) Processor 6/85/7". "unknown" where it does not.
const std::string& processor_name();

/// Of the cache of a core at `level` 2, or of that which cores share at 3; a usual size where the system does not tell.
std::size_t cache_bytes(int level);

}  // namespace reprise::kernels
