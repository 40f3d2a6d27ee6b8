// y = a b + bias. Reals go through packed blocks, or, for one row or one column, over the matrix as it lies; integers through plain loops.
#include <type_traits>

#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/gemm.h"
#include "kernels/reference/strided.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::reference {
namespace {

/// One operand as batches of matrices.
struct Matrix {
  OperandRef operand;
  std::int64_t row_stride = 0, column_stride = 0;
  Window batches;  // batch index → offset in elements

  [[nodiscard]] std::byte* at(void* const* bindings, std::int64_t batch) const { return operand.at(bindings) + batches.offset(batch) * item(); }
  [[nodiscard]] std::int64_t item() const { return static_cast<std::int64_t>(item_size(operand.dtype)); }
};

struct Problem {
  Matrix a, b, y, bias;
  bool has_bias = false;
  std::int64_t batch = 1, rows = 0, columns = 0, depth = 0;
  int threads = 1;
};

Matrix matrix_of(const OperandRef& operand, int batch_dims) {
  const auto dims = static_cast<std::size_t>(batch_dims);
  return {operand, operand.strides[operand.rank - 2], operand.strides[operand.rank - 1], Window({operand.sizes.data(), dims}, {operand.strides.data(), dims})};
}

bool rows_continue(const OperandRef& m, int d) {
  return m.sizes[d] == 1 || m.sizes[m.rank - 2] == 1 || m.strides[d] == m.sizes[m.rank - 2] * m.strides[m.rank - 2];
}

// The innermost batch dimension becomes rows.
void merge_into_rows(OperandRef& m, int d) {
  if (m.sizes[m.rank - 2] == 1) m.strides[m.rank - 2] = m.strides[d];
  m.sizes[m.rank - 2] *= m.sizes[d];
  m.sizes[d] = 1;
}

Problem describe(const StepSpec& spec) {
  OperandRef a = spec.inputs[0], b = spec.inputs[1], y = spec.outputs[0];
  const int rank = y.rank;
  OperandRef bias = spec.inputs.size() > 2 ? spec.inputs[2] : y;
  check(rank >= 2 && a.rank == rank && b.rank == rank && bias.rank == rank, spec, "ranks differ");
  for (int d = 0; d < rank - 2; ++d) check(a.sizes[d] == y.sizes[d] && b.sizes[d] == y.sizes[d], spec, "batch sizes differ");
  check(a.sizes[rank - 1] == b.sizes[rank - 2] && a.sizes[rank - 2] == y.sizes[rank - 2] && b.sizes[rank - 1] == y.sizes[rank - 1] && same_shape(bias, y), spec,
        "the matrices do not fit");
  // Batches that share b are one product with more rows.
  for (int d = rank - 3; d >= 0; --d) {
    if (b.sizes[d] != 1 && b.strides[d] != 0) break;
    if (!rows_continue(a, d) || !rows_continue(y, d) || !rows_continue(bias, d)) break;
    for (OperandRef* m : {&a, &y, &bias}) merge_into_rows(*m, d);
    b.sizes[d] = 1;
  }
  Problem p{matrix_of(a, rank - 2), matrix_of(b, rank - 2), matrix_of(y, rank - 2), matrix_of(bias, rank - 2)};
  p.has_bias = spec.inputs.size() > 2;
  p.batch = p.y.batches.numel();
  p.rows = y.sizes[rank - 2];
  p.columns = y.sizes[rank - 1];
  p.depth = a.sizes[rank - 1];
  p.threads = std::max(1, spec.threads);
  return p;
}

/// Rows of results on their way to memory: adds the bias, converts.
template <class T>
struct RowStore {
  WriteRun write;
  ReadRun read;
  explicit RowStore(DType dtype) : write(write_run(dtype, dtype_of<T>())), read(read_run(dtype, dtype_of<T>())) {}

  /// `sums` (at most kColumns<T> items) are overwritten.
  void operator()(const Problem& p, std::byte* y, const std::byte* bias, std::int64_t row, std::int64_t column, std::int64_t n, T* sums) const {
    if (p.has_bias) {
      T values[kColumns<T>];
      read(values, bias + (row * p.bias.row_stride + column * p.bias.column_stride) * p.bias.item(), p.bias.column_stride, n);
      for (std::int64_t i = 0; i < n; ++i) sums[i] += values[i];
    }
    write(y + (row * p.y.row_stride + column * p.y.column_stride) * p.y.item(), p.y.column_stride, sums, n);
  }
};

template <class T>
StepPtr make_blocked(const Problem& p) {
  const DType dtype = p.y.operand.dtype;
  const Blocking blocking = plan_blocking<T>(p.rows, p.columns, p.depth, p.batch, p.threads);
  const std::size_t worker_bytes = aligned(static_cast<std::size_t>(scratch_items<T>(blocking)) * sizeof(T));
  const auto run = [p, blocking, worker_bytes, kernel = gemm_kernels<T>().tile, pack_a = pack_rows<T>(dtype), pack_b = pack_columns<T>(dtype),
                    store = RowStore<T>(dtype)](void* const* bindings, std::byte* scratch) {
    const bool small = p.batch * p.rows * p.columns * p.depth < 1 << 20;
    parallel_jobs(small ? 1 : p.threads, p.batch * blocking.jobs(), [&](std::int64_t job, int worker) {
      const std::int64_t batch = job / blocking.jobs();
      const std::byte *a = p.a.at(bindings, batch), *b = p.b.at(bindings, batch), *bias = p.has_bias ? p.bias.at(bindings, batch) : nullptr;
      std::byte* y = p.y.at(bindings, batch);
      run_gemm_job<T>(
          blocking, kernel, job % blocking.jobs(), reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * worker_bytes),
          [&](std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t depth, T* dst) {
            pack_a(a + (row * p.a.row_stride + k * p.a.column_stride) * p.a.item(), p.a.row_stride, p.a.column_stride, rows, depth, dst);
          },
          [&](std::int64_t k, std::int64_t depth, std::int64_t column, std::int64_t columns, T* dst) {
            pack_b(b + (k * p.b.row_stride + column * p.b.column_stride) * p.b.item(), p.b.column_stride, p.b.row_stride, columns, depth, dst);
          },
          [&](std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns, T* tile) {
            for (std::int64_t r = 0; r < rows; ++r) store(p, y, bias, row + r, column, columns, tile + r * kColumns<T>);
          });
    });
  };
  return make_step(worker_bytes * static_cast<std::size_t>(p.threads), run);
}

/// A product with one row: x[depth] times b, in chunks of columns.
template <class T>
struct VectorProduct {
  static constexpr std::int64_t kChunk = 16 * kColumns<T>;
  Problem p;
  GemmKernels<T> kernels = gemm_kernels<T>();
  RowStore<T> store;
  ReadRun read_x, read_b;
  std::size_t worker_bytes;

  explicit VectorProduct(const Problem& problem)
      : p(problem),
        store(p.y.operand.dtype),
        read_x(read_run(p.a.operand.dtype, dtype_of<T>())),
        read_b(read_x),
        worker_bytes(aligned(static_cast<std::size_t>(2 * p.depth + 2 * kChunk) * sizeof(T))) {}

  // b's rows are dense: sums of scaled rows.
  void add_rows(const std::byte* b, const T* x, std::int64_t n, T* row_buffer, T* sums) const {
    std::fill_n(sums, n, T{});
    for (std::int64_t k = 0; k < p.depth; ++k) {
      const std::byte* row = b + k * p.b.row_stride * p.b.item();
      const T* values = reinterpret_cast<const T*>(row);
      if (p.b.operand.dtype != dtype_of<T>()) {
        read_b(row_buffer, row, 1, n);
        values = row_buffer;
      }
      kernels.axpy(n, x[k], values, sums);
    }
  }

  void dot_columns(const std::byte* b, const T* x, std::int64_t n, T* column_buffer, T* sums) const {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::byte* column = b + i * p.b.column_stride * p.b.item();
      const T* values = reinterpret_cast<const T*>(column);
      if (p.b.operand.dtype != dtype_of<T>() || p.b.row_stride != 1) {
        read_b(column_buffer, column, p.b.row_stride, p.depth);
        values = column_buffer;
      }
      kernels.dot(p.depth, x, values, sums + i);
    }
  }

  void run_job(void* const* bindings, std::int64_t batch, std::int64_t column, T* scratch) const {
    T *x = scratch, *buffer = x + p.depth, *sums = buffer + std::max(p.depth, kChunk);
    const std::int64_t n = std::min(kChunk, p.columns - column);
    read_x(x, p.a.at(bindings, batch), p.a.column_stride, p.depth);
    const std::byte* b = p.b.at(bindings, batch) + column * p.b.column_stride * p.b.item();
    if (p.b.column_stride == 1)
      add_rows(b, x, n, buffer, sums);
    else
      dot_columns(b, x, n, buffer, sums);
    const std::byte* bias = p.has_bias ? p.bias.at(bindings, batch) : nullptr;
    for (std::int64_t i = 0; i < n; i += kColumns<T>) store(p, p.y.at(bindings, batch), bias, 0, column + i, std::min(kColumns<T>, n - i), sums + i);
  }

  void run(void* const* bindings, std::byte* scratch) const {
    const std::int64_t chunks = (p.columns + kChunk - 1) / kChunk;
    const bool small = p.batch * p.columns * p.depth < 1 << 20;
    parallel_jobs(small ? 1 : p.threads, p.batch * chunks, [&](std::int64_t job, int worker) {
      run_job(bindings, job / chunks, job % chunks * kChunk, reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * worker_bytes));
    });
  }
};

void transpose(Matrix& m) { std::swap(m.row_stride, m.column_stride); }

template <class T>
StepPtr make_real(Problem p) {
  if (p.columns == 1 && p.rows > 1) {  // yᵀ = bᵀ aᵀ
    std::swap(p.a, p.b);
    std::swap(p.rows, p.columns);
    for (Matrix* m : {&p.a, &p.b, &p.y, &p.bias}) transpose(*m);
  }
  if (p.rows > 1) return make_blocked<T>(p);
  const VectorProduct<T> product(p);
  return make_step(product.worker_bytes * static_cast<std::size_t>(p.threads),
                   [product](void* const* bindings, std::byte* scratch) { product.run(bindings, scratch); });
}

template <class E>
void multiply_integers(const Problem& p, void* const* bindings, std::int64_t batch) {
  const auto *a = reinterpret_cast<const E*>(p.a.at(bindings, batch)), *b = reinterpret_cast<const E*>(p.b.at(bindings, batch));
  const auto* bias = p.has_bias ? reinterpret_cast<const E*>(p.bias.at(bindings, batch)) : nullptr;
  auto* y = reinterpret_cast<E*>(p.y.at(bindings, batch));
  for (std::int64_t row = 0; row < p.rows; ++row) {
    for (std::int64_t column = 0; column < p.columns; ++column) {
      std::uint64_t sum = bias != nullptr ? static_cast<std::uint64_t>(bias[row * p.bias.row_stride + column * p.bias.column_stride]) : 0;
      for (std::int64_t k = 0; k < p.depth; ++k) {
        sum += static_cast<std::uint64_t>(a[row * p.a.row_stride + k * p.a.column_stride]) *
               static_cast<std::uint64_t>(b[k * p.b.row_stride + column * p.b.column_stride]);
      }
      y[row * p.y.row_stride + column * p.y.column_stride] = static_cast<E>(sum);
    }
  }
}

StepPtr make_integer(const Problem& p) {
  return tensor::dispatch(p.y.operand.dtype, [&](auto e) -> StepPtr {
    using E = decltype(e);
    if constexpr (std::is_integral_v<E>) {
      return make_step([p](void* const* bindings) {
        const std::int64_t grain = grain_for(p.rows * p.columns * p.depth);
        parallel_for(p.threads, p.batch, grain, [&](std::int64_t begin, std::int64_t end, int) {
          for (std::int64_t batch = begin; batch < end; ++batch) multiply_integers<E>(p, bindings, batch);
        });
      });
    } else {
      return nullptr;  // reals do not come here
    }
  });
}

}  // namespace

StepPtr make_matmul(const StepSpec& spec) {
  check_counts(spec, spec.attrs->flag("has_bias", false) ? 3 : 2, 1, 1);
  for (const OperandRef& operand : spec.inputs) check(operand.dtype == spec.outputs[0].dtype, spec, "dtypes differ");
  const Problem p = describe(spec);
  if (p.batch * p.rows * p.columns == 0) return make_step([](void* const*) {});
  if (!is_floating(spec.outputs[0].dtype)) return make_integer(p);
  return spec.outputs[0].dtype == DType::f64 ? make_real<double>(p) : make_real<float>(p);
}

}  // namespace reprise::kernels::reference
