#include "base/json.h"

#include "fuzz/fuzz.h"

namespace {

using reprise::base::JsonValue;

/// Every getter on every value.
void walk(const JsonValue& value) {
  const auto try_all = [&](auto... getters) { (reprise::fuzz::run(getters), ...); };
  try_all([&] { (void)value.as_bool(); }, [&] { (void)value.as_int(); }, [&] { (void)value.as_small_int(); }, [&] { (void)value.as_real(); },
          [&] { (void)value.as_string(); }, [&] { (void)value.as_ints(); }, [&] { (void)value.as_strings(); }, [&] { (void)value.only_member(); },
          [&] { (void)value.at("a"); });
  if (value.is_array()) {
    for (const JsonValue& item : value.items()) walk(item);
  } else if (value.is_object()) {
    for (const auto& member : value.members()) walk(member.value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  return fuzz::run([&] {
    const base::JsonDocument document(fuzz::text(data, size), "fuzz");
    walk(document.root());
  });
}
