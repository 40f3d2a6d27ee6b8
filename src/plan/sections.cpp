#include "plan/sections.h"

#include <algorithm>
#include <array>
#include <utility>

namespace reprise::plan {

std::string_view section_text(std::span<const Section> sections, std::string_view name) {
  const auto found = std::ranges::find(sections, name, &Section::name);
  return found == sections.end() ? std::string_view() : std::string_view(found->bytes.data_as<char>(), found->bytes.nbytes());
}

Section text_section(std::string name, std::string_view text) {
  Tensor bytes = Tensor::empty(std::array{static_cast<std::int64_t>(text.size())}, DType::u8);
  std::copy(text.begin(), text.end(), bytes.data_as<char>());
  return {std::move(name), std::move(bytes)};
}

}  // namespace reprise::plan
