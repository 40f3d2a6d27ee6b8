// Messages to whoever set a log callback (reprise/log.h).
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "reprise/log.h"

namespace reprise::base {

/// False when nobody listens, so that messages are not even formatted.
bool log_enabled();
void log_message(LogLevel level, std::string_view message);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> text, Args&&... args) {
  if (log_enabled()) log_message(level, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace reprise::base
