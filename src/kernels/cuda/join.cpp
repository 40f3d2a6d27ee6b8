// pad, concat, write_view.
#include <algorithm>
#include <cstring>
#include <memory>

#include "kernels/cuda/dims.h"
#include "kernels/cuda/factories.h"
#include "tensor/convert.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::cuda {
namespace {

constexpr std::size_t kMaxColumns = 16;  // inputs of one concat kernel

using StepList = std::vector<StepPtr>;

StepPtr copy_step(Gpu& gpu, const StepSpec& spec, const OperandRef& from, const OperandRef& to) {
  StepSpec copy = spec;
  copy.op = core::Op::copy;
  copy.inputs = std::span(&from, 1);
  copy.outputs = std::span(&to, 1);
  return make_copy(gpu, copy);
}

/// Steps of kernels one after the other; none of them needs scratch.
StepPtr sequence(StepList steps) {
  auto shared = std::make_shared<StepList>(std::move(steps));
  return make_step(0, [shared](Operations& ops, int) {
    for (const auto& step : *shared) static_cast<const device::cuda::CudaStep&>(*step).describe(ops);
  });
}

// ---- concat -----------------------------------------------------------------------------------------------------------------------------

/// An operand as rows: what lies outside of the axis, then the axis with what lies inside of it, dense.
struct Columns {
  std::int64_t rows = 1, width = 1, stride = 0;
  bool fits = false;
};

/// `order`: the dimensions of y, outermost first.
Columns columns_of(const OperandRef& x, std::span<const int> order, int axis) {
  const auto at = std::find(order.begin(), order.end(), axis);
  const Dims outer({&x}, std::span(order.begin(), at)), inner({&x}, std::span(at, order.end()));
  Columns c{.rows = outer.numel(), .width = inner.numel(), .stride = outer.rank() == 0 ? 0 : outer.stride(0, 0)};
  c.fits = outer.rank() <= 1 && (inner.rank() == 0 || (inner.rank() == 1 && inner.stride(0, 0) == 1));
  return c;
}

/// One kernel for up to kMaxColumns inputs, or null when an operand is not rows of columns.
StepPtr concat_columns(Gpu& gpu, std::span<const OperandRef> inputs, const OperandRef& window, int axis) {
  const std::vector<int> order = by_stride(window, all_dims(window.rank));
  const Columns y = columns_of(window, order, axis);
  const auto item = static_cast<std::int64_t>(item_size(window.dtype));
  std::int64_t width = 16 / item;
  const auto divide = [&](std::int64_t value) {
    while (value % width != 0) width /= 2;
  };
  std::vector<Columns> parts;
  bool fits = y.fits, wide = needs_wide({&window});
  for (const OperandRef& x : inputs) {
    parts.push_back(columns_of(x, order, axis));
    fits = fits && parts.back().fits;
    wide = wide || needs_wide({&x});
    for (const std::int64_t value : {x.offset, parts.back().width, parts.back().stride}) divide(value);
  }
  if (!fits) return nullptr;
  for (const std::int64_t value : {window.offset, y.stride}) divide(value);
  Arguments arguments;
  arguments.out(window);
  for (const OperandRef& x : inputs) arguments.in(x);
  std::int64_t end = 0;
  for (const Columns& part : parts) arguments.value(end += part.width / width);
  for (const Columns& part : parts) arguments.value(part.stride / width);
  const std::int64_t count = y.rows * end;
  arguments.value(y.stride / width).value(count);
  put_divider(arguments, std::max<std::int64_t>(end, 1), wide);
  if (!wide) arguments.value(std::uint32_t{0});  // the struct ends at a multiple of 8 bytes
  TextKernel kernel = request(gpu, "join.cuh", fmt::format("concat<{}, {}, {}>", bits_type(item * width), inputs.size(), index_type(wide)));
  return make_step(0, [=](Operations& ops, int) { launch_each(ops, kernel, count, arguments); });
}

// ---- pad --------------------------------------------------------------------------------------------------------------------------------

struct PadDim {
  std::int64_t size, x_size, before, x_stride, y_stride;
  [[nodiscard]] bool plain() const { return before == 0 && size == x_size; }
};

/// Outermost first by y's strides; neighbours that are not padded are merged.
std::vector<PadDim> pad_dims(const OperandRef& x, const OperandRef& y, const std::vector<std::int64_t>& before) {
  std::vector<PadDim> dims;
  for (const int d : by_stride(y, all_dims(y.rank))) {
    const auto i = static_cast<std::size_t>(d);
    const PadDim dim{y.sizes[i], x.sizes[i], before[i], x.strides[i], y.strides[i]};
    if (dim.size == 1 && dim.x_size == 1 && dim.before == 0) continue;
    if (!dims.empty()) {
      PadDim& outer = dims.back();
      if (outer.plain() && dim.plain() && outer.x_stride == dim.x_stride * dim.size && outer.y_stride == dim.y_stride * dim.size) {
        outer = {outer.size * dim.size, outer.x_size * dim.size, 0, dim.x_stride, dim.y_stride};
        continue;
      }
    }
    dims.push_back(dim);
  }
  return dims;
}

/// Elements that move together: the innermost dimension is dense, and neither padding nor anything else parts them. Borders other than constant ones have their
/// elements one by one.
std::int64_t widen(std::vector<PadDim>& dims, const OperandRef& x, const OperandRef& y, bool constant) {
  std::int64_t width = 16 / static_cast<std::int64_t>(item_size(x.dtype));
  if (dims.empty() || dims.back().x_stride != 1 || dims.back().y_stride != 1 || (!constant && !dims.back().plain())) return 1;
  const auto divide = [&](std::int64_t value) {
    while (value % width != 0) width /= 2;
  };
  for (const std::int64_t value : {x.offset, y.offset, dims.back().size, dims.back().x_size, dims.back().before}) divide(value);
  for (std::size_t d = 0; d + 1 < dims.size(); ++d) {
    divide(dims[d].x_stride);
    divide(dims[d].y_stride);
  }
  for (std::size_t d = 0; d + 1 < dims.size(); ++d) {
    dims[d].x_stride /= width;
    dims[d].y_stride /= width;
  }
  for (std::int64_t* value : {&dims.back().size, &dims.back().x_size, &dims.back().before}) *value /= width;
  return width;
}

/// The bytes of the value that is padded with, repeated.
std::array<std::byte, 16> pattern_of(DType dtype, const sym::Number& value) {
  std::array<std::byte, 16> bytes{};
  tensor::dispatch(dtype, [&]<class E>(E) {
    const E one = value.is_real ? tensor::convert<E>(value.real) : tensor::convert<E>(value.integer);
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(E)) std::memcpy(bytes.data() + at, &one, sizeof(E));
  });
  return bytes;
}

/// A Padding of the text.
void put_padding(Arguments& arguments, const std::vector<PadDim>& dims, std::int64_t count, bool wide) {
  arguments.value(count).value(static_cast<std::int64_t>(dims.size()));
  for (std::size_t d = 0; d < kMaxRank; ++d) put_divider(arguments, d < dims.size() ? dims[d].size : 1, wide);
  for (const auto member : {&PadDim::x_size, &PadDim::before, &PadDim::x_stride, &PadDim::y_stride}) {
    for (std::size_t d = 0; d < kMaxRank; ++d) put_index(arguments, d < dims.size() ? dims[d].*member : 0, wide);
  }
}

void put_value(Arguments& arguments, const std::array<std::byte, 16>& pattern, std::int64_t bytes) {
  const auto put = [&]<class T>(T value) {
    std::memcpy(&value, pattern.data(), sizeof(T));
    arguments.value(value);
  };
  struct alignas(16) Wide {
    std::byte bytes[16];
  };
  if (bytes == 1) return put(std::uint8_t{});
  if (bytes == 2) return put(std::uint16_t{});
  if (bytes == 4) return put(std::uint32_t{});
  if (bytes == 8) return put(std::uint64_t{});
  put(Wide{});
}

/// Reflected and circular padding fetch within the input.
void check_reach(const StepSpec& spec, const std::string& kind, std::int64_t size, std::int64_t before, std::int64_t after) {
  if (before == 0 && after == 0) return;
  check(size > 0, spec, "padding is wider than the input");
  if (kind == "reflect") check(before < size && after < size, spec, "padding is wider than the input");
}

}  // namespace

StepPtr make_concat(Gpu& gpu, const StepSpec& spec) {
  check(!spec.inputs.empty() && spec.outputs.size() == 1, spec, "wrong number of operands");
  OperandRef window = spec.outputs[0];
  const auto axis = static_cast<std::size_t>(axis_of(spec, spec.attrs->integer("axis"), window.rank));
  const std::int64_t total = window.sizes[axis];
  std::vector<OperandRef> inputs;
  std::int64_t sum = 0;
  for (const OperandRef& x : spec.inputs) {
    check(x.rank == window.rank && x.dtype == window.dtype, spec, "operands differ in rank or dtype");
    for (std::size_t d = 0; d < static_cast<std::size_t>(x.rank); ++d) check(d == axis || x.sizes[d] == window.sizes[d], spec, "sizes differ");
    sum += x.sizes[axis];
    if (x.numel() > 0) inputs.push_back(x);
  }
  check(sum == total, spec, "sizes do not add up");
  StepList steps;
  for (std::size_t first = 0; first < inputs.size(); first += kMaxColumns) {
    const auto group = std::span(inputs).subspan(first, std::min(kMaxColumns, inputs.size() - first));
    window.sizes[axis] = 0;
    for (const OperandRef& x : group) window.sizes[axis] += x.sizes[axis];
    StepPtr step = concat_columns(gpu, group, window, static_cast<int>(axis));
    for (const OperandRef& x : group) {
      window.sizes[axis] = x.sizes[axis];
      if (!step) steps.push_back(copy_step(gpu, spec, x, window));
      window.offset += x.sizes[axis] * window.strides[axis];
    }
    if (step) steps.push_back(std::move(step));
  }
  return sequence(std::move(steps));
}

StepPtr make_pad(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const auto before = spec.attrs->ints("before"), after = spec.attrs->ints("after");
  const auto& kind = spec.attrs->text("kind");
  const auto rank = static_cast<std::size_t>(x.rank);
  check(x.dtype == y.dtype && x.rank == y.rank && before.size() == rank && after.size() == rank, spec, "operands and padding disagree");
  const char* const kinds[][2] = {{"constant", "kConstant"}, {"reflect", "kReflect"}, {"replicate", "kReplicate"}, {"circular", "kCircular"}};
  const auto* border = std::find_if(std::begin(kinds), std::end(kinds), [&](const auto& k) { return kind == k[0]; });
  check(border != std::end(kinds), spec, "unknown kind");
  if (y.numel() == 0) return make_empty_step();
  for (std::size_t d = 0; d < rank; ++d) {
    check(x.sizes[d] + before[d] + after[d] == y.sizes[d], spec, "sizes do not add up");
    if (kind != "constant") check_reach(spec, kind, x.sizes[d], before[d], after[d]);
  }
  std::vector<PadDim> dims = pad_dims(x, y, before);
  const std::int64_t width = widen(dims, x, y, kind == "constant"), bytes = width * static_cast<std::int64_t>(item_size(x.dtype)), count = y.numel() / width;
  const bool wide = needs_wide({&x, &y});
  Arguments arguments;
  arguments.in(x).out(y);
  put_padding(arguments, dims, count, wide);
  put_value(arguments, pattern_of(x.dtype, kind == "constant" ? spec.attrs->number("value") : sym::Number::of(0)), bytes);
  TextKernel kernel = request(gpu, "join.cuh", fmt::format("pad<{}, {}, {}>", bits_type(bytes), (*border)[1], index_type(wide)));
  return make_step(0, [=](Operations& ops, int) { launch_each(ops, kernel, count, arguments); });
}

StepPtr make_write_view(Gpu& gpu, const StepSpec& spec) {
  check_counts(spec, 2, 1, 1);
  const OperandRef &x = spec.inputs[0], &src = spec.inputs[1], &y = spec.outputs[0];
  check(same_shape(x, y) && x.dtype == y.dtype && src.dtype == y.dtype, spec, "operands disagree");
  check(y.is_contiguous(), spec, "the result must be row-major");
  const auto sizes = spec.attrs->ints("sizes"), strides = spec.attrs->ints("strides");
  check(sizes.size() <= kMaxRank && sizes.size() == strides.size(), spec, "the view has not one stride per size");
  OperandRef window = y;
  window.rank = static_cast<int>(sizes.size());
  const auto offset = spec.attrs->integer("offset");
  std::int64_t last = offset;
  bool empty = false, fits = offset >= 0;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    window.sizes[d] = sizes[d];
    window.strides[d] = strides[d];
    empty = empty || sizes[d] == 0;
    std::int64_t step = 0;
    fits = fits && sizes[d] >= 0 && strides[d] >= 0 && !__builtin_mul_overflow(sizes[d] - 1, strides[d], &step) && !__builtin_add_overflow(last, step, &last);
  }
  check(empty || (fits && last < y.numel()), spec, "the view reaches outside");
  window.offset += offset;
  check(same_shape(src, window), spec, "the source has not the view's sizes");
  StepList steps;
  if (!same_memory(x, y)) steps.push_back(copy_step(gpu, spec, x, y));
  if (!empty) steps.push_back(copy_step(gpu, spec, src, window));
  return sequence(std::move(steps));
}

}  // namespace reprise::kernels::cuda
