// Rows of a large table in a module's file, as of an embedding: read from the file, not through its mapping. Of a mapping a system may count megabytes of its
// cache as the process's own for each row that is touched.
#include <algorithm>
#include <vector>

#include "base/file.h"
#include "kernels/cpu/rows/rows.h"
#include "kernels/reference/step.h"
#include "kernels/reference/walk.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::size_t kSmallest = std::size_t{16} << 20;  // bytes of a table: others may as well be resident

bool takes(const StepSpec& spec) {
  if (spec.inputs.size() != 2 || spec.outputs.size() != 1) return false;
  const OperandRef &table = spec.inputs[0], &indices = spec.inputs[1], &y = spec.outputs[0];
  if (spec.attrs->ints("axes") != std::vector<std::int64_t>{0} || spec.attrs->integer("position") != 0) return false;
  if (indices.dtype != DType::i64 || !indices.is_contiguous() || table.rank < 2 || !table.is_contiguous() || !y.is_contiguous() || table.dtype != y.dtype)
    return false;
  const bool fits = y.rank == indices.rank + table.rank - 1 && std::equal(indices.shape().begin(), indices.shape().end(), y.shape().begin()) &&
                    std::equal(table.shape().begin() + 1, table.shape().end(), y.shape().begin() + indices.rank);
  return fits && is_fixed(spec, table);
}

}  // namespace

StepPtr make_file_rows(const StepSpec& spec) {
  if (!takes(spec)) return nullptr;
  const OperandRef &table = spec.inputs[0], &indices = spec.inputs[1], &y = spec.outputs[0];
  const std::byte* from = table.at(spec.fixed.data());
  const std::size_t item = item_size(table.dtype), bytes = static_cast<std::size_t>(table.numel()) * item;
  const base::MappedFile* file = bytes < kSmallest ? nullptr : base::MappedFile::with(from, bytes);
  if (file == nullptr) return nullptr;
  const std::size_t row_bytes = bytes / static_cast<std::size_t>(table.sizes[0]);
  return reference::make_step([=, rows = table.sizes[0], count = indices.numel(), name = spec.name](void* const* bindings) {
    const auto* at = reinterpret_cast<const std::int64_t*>(indices.at(bindings));
    std::byte* to = y.at(bindings);
    for (std::int64_t i = 0, next = 0; i < count; i = next) {
      const std::int64_t first = reference::wrapped(at[i], rows, name);
      for (next = i + 1; next < count && reference::wrapped(at[next], rows, name) == first + (next - i);) ++next;  // rows that lie behind each other
      const std::size_t run = static_cast<std::size_t>(next - i) * row_bytes;
      file->read(from + static_cast<std::size_t>(first) * row_bytes, run, to);
      to += run;
    }
  });
}

}  // namespace reprise::kernels::cpu
