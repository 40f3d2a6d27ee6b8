#include "api/compiler/signature.h"

#include <algorithm>
#include <string_view>

namespace reprise::api {
namespace {

/// Of a list of parameters or results.
std::vector<std::string> written_marks(std::string_view list) {
  std::vector<std::string> marks = {""};
  bool any = false;
  for (std::size_t i = 0, depth = 0; i < list.size(); ++i) {
    if (list[i] == '(' || list[i] == '[') ++depth;
    if (list[i] == ')' || list[i] == ']') depth -= depth > 0 ? 1 : 0;
    if (list[i] == '!') marks.back() = std::string(list.substr(list.rfind('(', i) + 1, i - list.rfind('(', i) - 1));
    if (list[i] == '*' && depth == 0) continue;
    if (list[i] == ',' && depth == 0) {
      if (any) marks.emplace_back();
      any = false;
    } else if (list[i] != ' ') {
      any = true;
    }
  }
  return marks;
}

}  // namespace

Signature parse_signature(const std::string& text) {
  Signature out{ops::parse_schema(text), {}, {}};
  const auto arrow = text.rfind("->"), open = text.find('('), close = text.rfind(')', arrow);
  out.written = written_marks(std::string_view(text).substr(open + 1, close - open - 1));
  out.written.resize(std::max(out.written.size(), out.schema.params.size()));
  if (arrow == std::string::npos) return out;
  std::string_view results = std::string_view(text).substr(arrow + 2);
  results.remove_prefix(std::min(results.find_first_not_of(' '), results.size()));
  if (results.starts_with('(')) results = results.substr(1, results.rfind(')') - 1);
  out.returned = written_marks(results);
  return out;
}

}  // namespace reprise::api
