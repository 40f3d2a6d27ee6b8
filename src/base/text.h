// Text from files, made fit for messages.
#pragma once

#include <string>
#include <string_view>

namespace reprise::base {

/// At most `limit` bytes, with '?' for control characters: a message must not be cut by a NUL nor steer a terminal.
inline std::string printable(std::string_view text, std::size_t limit = 200) {
  std::string out(text.substr(0, limit));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text.size() > limit ? out + "..." : out;
}

}  // namespace reprise::base
