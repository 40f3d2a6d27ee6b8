// Checks that throw. `[stage/op] what failed (got …, want …)`: the macro's first format argument is the whole text, prefix included.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "reprise/error.h"

namespace reprise::base {

template <class Kind, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw Kind(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace reprise::base

/// REPRISE_FAIL(FormatError, "[import/zip] entry '{}' is truncated (got {} bytes, want {})", name, got, want);
#define REPRISE_FAIL(Kind, ...) ::reprise::base::fail<::reprise::Kind>(__VA_ARGS__)

/// REPRISE_CHECK(rank > 0, ShapeError, "[ops/softmax] …");
#define REPRISE_CHECK(condition, Kind, ...) \
  do {                                      \
    if (!(condition)) [[unlikely]]          \
      REPRISE_FAIL(Kind, __VA_ARGS__);      \
  } while (false)
