#include "kernels/stored_forms.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/check.h"
#include "kernels/kernel.h"
#include "plan/sections.h"

namespace reprise::kernels {
namespace {

constexpr std::string_view kIndex = "cpu_packed.txt", kFolder = "cpu_packed/";

/// What stands before `separator`, which `text` has no longer.
std::string_view take(std::string_view& text, char separator) {
  const std::string_view first = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), first.size() + 1));
  return first;
}

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

StoredForms::StoredForms(const plan::Plan& plan, std::string_view tag) {
  std::string_view index = plan::section_text(plan.sections, kIndex);
  if (index.empty() || take(index, '\n') != tag) return;
  std::map<std::string_view, const plan::Section*> by_name;
  for (const plan::Section& section : plan.sections) by_name.emplace(section.name, &section);
  while (!index.empty()) {
    std::string_view line = take(index, '\n');
    const auto weight = number(take(line, '\t')), offset = number(take(line, '\t')), bytes = number(take(line, '\t'));
    const auto section = by_name.find(take(line, '\t'));
    if (!weight || !offset || !bytes || section == by_name.end()) continue;
    if (*weight < plan.weights.size()) add(plan.weights[*weight].data, *offset, section->second->bytes, *bytes, line);
  }
}

void StoredForms::add(const Tensor& weight, std::size_t offset, const Tensor& stored, std::size_t bytes, std::string_view form) {
  const auto* data = stored.data_as<const std::byte>();
  if (!weight.defined() || offset >= weight.nbytes() || stored.nbytes() != bytes || reinterpret_cast<std::uintptr_t>(data) % kAlignment != 0) return;
  forms_.try_emplace(std::pair(weight.data_as<const std::byte>() + offset, std::string(form)), std::span(data, bytes));
}

const std::byte* StoredForms::find(const void* weight, std::string_view form, std::size_t bytes) const {
  if (forms_.empty() || form.empty()) return nullptr;
  const auto found = forms_.find({static_cast<const std::byte*>(weight), std::string(form)});
  return found == forms_.end() || found->second.size() != bytes ? nullptr : found->second.data();
}

bool StoredForms::has(const void* weight, std::size_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(weight);
  const auto first = forms_.lower_bound({begin, std::string()});
  return first != forms_.end() && std::less<>()(first->first.first, begin + bytes);
}

StoredFormsSummary summarize_stored_forms(const plan::Plan& plan) {
  std::string_view index = plan::section_text(plan.sections, kIndex);
  StoredFormsSummary summary{.tag = std::string(take(index, '\n'))};
  for (const plan::Section& section : plan.sections) {
    if (!section.name.starts_with(kFolder)) continue;
    ++summary.count;
    summary.bytes += section.bytes.nbytes();
  }
  return summary;
}

bool is_stored_forms_section(std::string_view name) { return name == kIndex || name.starts_with(kFolder); }

void FormCollector::add(const void* weight, const Packing& packing) {
  if (packing.form.empty() || packing.bytes == 0) return;
  const auto found = std::ranges::find_if(plan_.weights, [&](const plan::Weight& w) { return w.data.defined() && w.data.data() == weight; });
  if (found == plan_.weights.end()) return;
  const auto offset = static_cast<std::size_t>(packing.offset_bytes);
  if (!known_.emplace(static_cast<const std::byte*>(weight) + offset, packing.form).second) return;
  Tensor bytes = Tensor::empty(std::array{static_cast<std::int64_t>(packing.bytes)}, DType::u8);
  packing.pack(weight, bytes.data());
  forms_.push_back({static_cast<std::size_t>(found - plan_.weights.begin()), offset, packing.form, std::move(bytes)});
}

std::vector<plan::Section> FormCollector::sections(std::string_view tag) const {
  std::vector<plan::Section> sections;
  std::string index = fmt::format("{}\n", tag);
  for (const Form& form : forms_) {
    const std::string name = fmt::format("{}{}", kFolder, sections.size());
    index += fmt::format("{}\t{}\t{}\t{}\t{}\n", form.weight, form.offset, form.bytes.nbytes(), name, form.form);
    sections.push_back({name, form.bytes});
  }
  if (!sections.empty()) sections.push_back(plan::text_section(std::string(kIndex), index));
  return sections;
}

}  // namespace reprise::kernels
