#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "plan/plan.h"

namespace reprise::plan {

namespace {

std::string buffer_name(const Plan& plan, BufferId id) {
  const auto& b = plan.buffers[static_cast<std::size_t>(id)];
  const char* kinds[] = {"%", "in", "out", "w", "state"};
  return fmt::format("{}{}", kinds[static_cast<int>(b.kind)], b.kind == BufferKind::temp ? id : b.index);
}

std::string operand_text(const Plan& plan, const Operand& o) {
  auto text = fmt::format("{}:{}{}", buffer_name(plan, o.buffer), name(o.dtype), sym::str(o.sizes));
  if (!sym::equal(o.strides, sym::contiguous_strides(o.sizes))) text += fmt::format(" strides {}", sym::str(o.strides));
  if (o.offset != sym::Expr(0)) text += fmt::format(" at {}", o.offset.str());
  return text;
}

void print_block(const Plan& plan, int id, int indent, std::string& out) {
  const std::string space(static_cast<std::size_t>(indent), ' ');
  for (const auto& c : plan.blocks[static_cast<std::size_t>(id)].commands) {
    std::string in, results;
    for (const auto& o : c.inputs) in += (in.empty() ? "" : ", ") + operand_text(plan, o);
    for (const auto& o : c.outputs) results += (results.empty() ? "" : ", ") + operand_text(plan, o);
    out += fmt::format("{}{:>4}  {} = {}({})", space, c.position, results.empty() ? "()" : results, core::name(c.op), in);
    if (!c.attrs.items().empty()) out += fmt::format(" {{{}}}", c.attrs.str());
    for (const auto& d : c.defines) out += fmt::format(" defines {}", plan.symbols.at(d.symbol).name);
    if (!c.name.empty()) out += fmt::format("  # {}", c.name);
    if (!plan.segments[static_cast<std::size_t>(c.segment)].engine) out += " (fallback)";
    out += '\n';
    for (const int b : c.blocks) {
      out += fmt::format("{}      block {}:\n", space, b);
      print_block(plan, b, indent + 4, out);
    }
  }
}

}  // namespace

std::string print(const Plan& plan) {
  std::string out = fmt::format("{} on {}, {} buffers\n", plan.producer, plan.settings.device.str(), plan.buffers.size());
  for (const auto& s : plan.symbols.all()) {
    out += fmt::format("symbol {} in {}..{}{}\n", s.name, s.range.min, s.range.max == sym::kUnbounded ? "…" : std::to_string(s.range.max),
                       s.unbacked ? " (from data)" : "");
  }
  for (std::size_t i = 0; i < plan.buffers.size(); ++i) {
    const auto& b = plan.buffers[i];
    const auto life = b.kind == BufferKind::temp ? fmt::format(" alive {}..{}", b.first, b.last) : "";
    out += fmt::format("buffer {} {} {} bytes{}{}\n", buffer_name(plan, static_cast<BufferId>(i)), b.name, b.size_bytes.str(), life,
                       b.dynamic ? " (sized by data)" : "");
  }
  if (!plan.blocks.empty()) print_block(plan, 0, 0, out);
  return out;
}

}  // namespace reprise::plan
