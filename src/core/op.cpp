#include "core/op.h"

#include <array>
#include <utility>

#include "base/check.h"

namespace reprise::core {
namespace {

constexpr auto kNames = std::to_array<std::pair<Op, std::string_view>>({
    {Op::pointwise, "pointwise"},
    {Op::copy, "copy"},
    {Op::reduce, "reduce"},
    {Op::scan, "scan"},
    {Op::softmax, "softmax"},
    {Op::norm, "norm"},
    {Op::attention, "attention"},
    {Op::matmul, "matmul"},
    {Op::conv, "conv"},
    {Op::pool, "pool"},
    {Op::resize, "resize"},
    {Op::pad, "pad"},
    {Op::concat, "concat"},
    {Op::gather, "gather"},
    {Op::scatter, "scatter"},
    {Op::index, "index"},
    {Op::index_put, "index_put"},
    {Op::write_view, "write_view"},
    {Op::sort, "sort"},
    {Op::topk, "topk"},
    {Op::search_sorted, "search_sorted"},
    {Op::iota, "iota"},
    {Op::fill, "fill"},
    {Op::random, "random"},
    {Op::nonzero, "nonzero"},
    {Op::unique, "unique"},
    {Op::nms, "nms"},
    {Op::repeat_interleave, "repeat_interleave"},
    {Op::item, "item"},
    {Op::cond, "cond"},
    {Op::while_loop, "while"},
    {Op::check, "check"},
    {Op::write, "write"},
    {Op::foreign, "foreign"},
});

}  // namespace

std::string_view name(Op op) {
  for (const auto& [value, text] : kNames) {
    if (value == op) return text;
  }
  REPRISE_FAIL(FormatError, "[core/op] not a core op (got number {})", static_cast<int>(op));
}

Op parse_op(std::string_view text) {
  for (const auto& [value, known] : kNames) {
    if (known == text) return value;
  }
  REPRISE_FAIL(FormatError, "[core/op] unknown core op (got '{}')", text);
}

}  // namespace reprise::core
