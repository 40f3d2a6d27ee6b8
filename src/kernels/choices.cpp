#include "kernels/choices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace reprise::kernels {
namespace {

void append(std::string& text, const StepSpec& spec, const OperandRef& operand, std::int64_t alignment) {
  const std::int64_t bytes = operand.offset * static_cast<std::int64_t>(item_size(operand.dtype));
  text += fmt::format(" {}[", name(operand.dtype));
  for (int d = 0; d < operand.rank; ++d) text += fmt::format("{}{}:{}", d == 0 ? "" : ",", operand.sizes[d], operand.sizes[d] == 1 ? 0 : operand.strides[d]);
  // Where it stands: the same slot means the same memory, which the order of a command's operands tells.
  const auto first = std::find_if(spec.inputs.begin(), spec.inputs.end(), [&](const OperandRef& o) { return o.slot == operand.slot; });
  text += fmt::format("]@{}#{}", bytes % alignment, first - spec.inputs.begin());
}

void append(std::string& text, const StepSpec& spec, const std::string& key, const core::Attr& value) {
  text += ' ' + key + '=';
  if (const auto* flag = std::get_if<bool>(&value)) text += *flag ? "1" : "0";
  if (const auto* number = std::get_if<sym::Expr>(&value)) text += std::to_string(spec.attrs->eval(*number).as_int());
  if (std::holds_alternative<std::vector<sym::Expr>>(value)) text += fmt::format("{}", fmt::join(spec.attrs->ints(key), ","));
  if (const auto* real = std::get_if<double>(&value)) text += fmt::format("{}", *real);
  if (const auto* words = std::get_if<std::string>(&value)) text += *words;
  if (const auto* program = std::get_if<core::ScalarProgramPtr>(&value)) text += (*program)->str();
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

std::string describe_command(const StepSpec& spec, std::int64_t alignment) {
  std::string text(core::name(spec.op));
  for (const OperandRef& operand : spec.inputs) append(text, spec, operand, alignment);
  text += " ->";
  for (const OperandRef& operand : spec.outputs) append(text, spec, operand, alignment);
  for (const auto& [key, value] : spec.attrs->unbound().items()) append(text, spec, key, value);
  return text;
}

std::optional<Choice> Choices::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = all_.find(key);
  return found == all_.end() ? std::nullopt : std::optional(found->second);
}

bool Choices::empty() const {
  const std::lock_guard lock(mutex_);
  return all_.empty();
}

void Choices::set(const std::string& key, Choice choice) {
  const std::lock_guard lock(mutex_);
  all_.insert_or_assign(key, std::move(choice));
}

std::string Choices::text() const {
  std::vector<std::string> lines;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, choice] : all_) lines.push_back(fmt::format("{}\t{}\t{}\n", choice.name, choice.microseconds, key));
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, ""));
}

std::size_t Choices::add(std::string_view text, std::string_view begin) {
  std::size_t skipped = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t first = line.find('\t'), second = first == line.npos ? line.npos : line.find('\t', first + 1);
    const auto microseconds = second == line.npos ? std::nullopt : number(line.substr(first + 1, second - first - 1));
    if (microseconds && line.substr(second + 1).starts_with(begin))
      set(std::string(line.substr(second + 1)), {std::string(line.substr(0, first)), *microseconds});
    else
      ++skipped;
  }
  return skipped;
}

}  // namespace reprise::kernels
