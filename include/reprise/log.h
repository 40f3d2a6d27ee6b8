// The library prints nothing by itself. A program that wants its messages sets a callback.
#pragma once

#include <functional>
#include <string_view>

namespace reprise {

enum class LogLevel { debug, info, warning };

using LogCallback = std::function<void(LogLevel, std::string_view message)>;

/// Process-wide; an empty callback (the default) drops messages. Thread safe. The callback may run on any thread and must not throw.
void set_log_callback(LogCallback callback);

}  // namespace reprise
