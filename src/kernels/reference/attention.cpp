// Attention: for each head, blocks of query rows; scores of a block against all keys stay in scratch. Probabilities are left unscaled until the result is
// stored.
#include <limits>

#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/gemm.h"
#include "kernels/reference/softmax_row.h"
#include "kernels/reference/strided.h"

namespace reprise::kernels::reference {
namespace {

/// q, k, v, mask or y: batches (heads) of matrices.
struct Heads {
  OperandRef operand;
  Window batches;
  std::int64_t row_stride = 0, column_stride = 0, item = 0;

  Heads() = default;
  explicit Heads(const OperandRef& ref)
      : operand(ref),
        batches({ref.sizes.data(), static_cast<std::size_t>(ref.rank - 2)}, {ref.strides.data(), static_cast<std::size_t>(ref.rank - 2)}),
        row_stride(ref.strides[ref.rank - 2]),
        column_stride(ref.strides[ref.rank - 1]),
        item(static_cast<std::int64_t>(item_size(ref.dtype))) {}

  [[nodiscard]] std::byte* at(void* const* bindings, std::int64_t batch, std::int64_t row) const {
    return operand.at(bindings) + (batches.offset(batch) + row * row_stride) * item;
  }
};

template <class T>
struct Attention {
  Heads q, k, v, mask, y;
  bool has_mask = false, causal = false;
  T scale = 1;
  std::int64_t batch = 0, queries = 0, keys = 0, width = 0, value_width = 0;
  std::int64_t block = 1;  // query rows of a job
  int threads = 1;
  Blocking score_blocking, value_blocking;
  TileKernel<T> kernel = gemm_kernels<T>().tile;
  PackKernel<T> pack_q, pack_k, pack_v, pack_probabilities = pack_rows<T>(dtype_of<T>());
  ReadRun read_mask = nullptr;
  WriteRun write;
  void (*exponentiate)(T*, std::int64_t, T*, double*) = best<ExponentiateRow<T>>();

  explicit Attention(const StepSpec& spec)
      : q(spec.inputs[0]),
        k(spec.inputs[1]),
        v(spec.inputs[2]),
        y(spec.outputs[0]),
        pack_q(pack_rows<T>(q.operand.dtype)),
        pack_k(pack_columns<T>(k.operand.dtype)),
        pack_v(pack_columns<T>(v.operand.dtype)),
        write(write_run(y.operand.dtype, dtype_of<T>())) {
    const int rank = q.operand.rank;
    has_mask = spec.attrs->flag("has_mask", false);
    causal = spec.attrs->flag("causal", false);
    scale = static_cast<T>(spec.attrs->real("scale"));
    if (has_mask) {
      mask = Heads(spec.inputs[3]);
      read_mask = read_run(mask.operand.dtype, dtype_of<T>());
    }
    batch = y.batches.numel();
    queries = q.operand.sizes[rank - 2];
    width = q.operand.sizes[rank - 1];
    keys = k.operand.sizes[rank - 2];
    value_width = v.operand.sizes[rank - 1];
    threads = std::max(1, spec.threads);
    block = std::min<std::int64_t>(queries, keys <= 2048 ? 128 : 64);
    score_blocking = plan_blocking<T>(block, keys, width, 1, 1);
    value_blocking = plan_blocking<T>(block, value_width, keys, 1, 1);
  }

  // Scratch of a thread: scores [block, keys], a mask row, sums [block], the products' own.
  [[nodiscard]] std::int64_t product_items() const { return std::max(scratch_items<T>(score_blocking), scratch_items<T>(value_blocking)); }
  [[nodiscard]] std::size_t worker_bytes() const { return aligned(static_cast<std::size_t>(block * keys + keys + block + product_items()) * sizeof(T)); }

  void scores(void* const* bindings, std::int64_t head, std::int64_t row0, std::int64_t rows, T* result, T* scratch) const {
    const std::byte *from_q = q.at(bindings, head, row0), *from_k = k.at(bindings, head, 0);
    Blocking blocking = score_blocking;
    blocking.rows = rows;
    for (std::int64_t job = 0; job < blocking.jobs(); ++job) {
      run_gemm_job<T>(
          blocking, kernel, job, scratch,
          [&](std::int64_t row, std::int64_t n, std::int64_t e, std::int64_t depth, T* dst) {
            pack_q(from_q + (row * q.row_stride + e * q.column_stride) * q.item, q.row_stride, q.column_stride, n, depth, dst);
          },
          [&](std::int64_t e, std::int64_t depth, std::int64_t key, std::int64_t n, T* dst) {
            pack_k(from_k + (key * k.row_stride + e * k.column_stride) * k.item, k.row_stride, k.column_stride, n, depth, dst);
          },
          [&](std::int64_t row, std::int64_t key, std::int64_t n, std::int64_t columns, const T* tile) {
            for (std::int64_t r = 0; r < n; ++r) {
              for (std::int64_t c = 0; c < columns; ++c) result[(row + r) * keys + key + c] = tile[r * kColumns<T> + c] * scale;
            }
          });
    }
  }

  void apply_mask(const std::byte* from, std::int64_t query, T* row, T* buffer) const {
    constexpr T kOut = -std::numeric_limits<T>::infinity();
    if (has_mask) {
      read_mask(buffer, from, mask.column_stride, keys);
      if (mask.operand.dtype == DType::boolean) {
        for (std::int64_t i = 0; i < keys; ++i) row[i] = buffer[i] != 0 ? row[i] : kOut;
      } else {
        for (std::int64_t i = 0; i < keys; ++i) row[i] += buffer[i];
      }
    }
    if (causal && query + 1 < keys) std::fill(row + query + 1, row + keys, kOut);
  }

  /// Turns scores into probabilities times `sums`; a row with nothing to attend to becomes 0.
  void softmax(void* const* bindings, std::int64_t head, std::int64_t row0, std::int64_t rows, T* result, T* buffer, T* sums) const {
    for (std::int64_t r = 0; r < rows; ++r) {
      T* row = result + r * keys;
      apply_mask(has_mask ? mask.at(bindings, head, row0 + r) : nullptr, row0 + r, row, buffer);
      T maximum;
      double sum;
      exponentiate(row, keys, &maximum, &sum);
      const bool nothing = keys == 0 || maximum == -std::numeric_limits<T>::infinity();
      if (nothing) std::fill_n(row, keys, T{});
      sums[r] = nothing ? T{1} : static_cast<T>(sum);
    }
  }

  void values(void* const* bindings, std::int64_t head, std::int64_t row0, std::int64_t rows, const T* probabilities, const T* sums, T* scratch) const {
    const std::byte* from_v = v.at(bindings, head, 0);
    Blocking blocking = value_blocking;
    blocking.rows = rows;
    for (std::int64_t job = 0; job < blocking.jobs(); ++job) {
      run_gemm_job<T>(
          blocking, kernel, job, scratch,
          [&](std::int64_t row, std::int64_t n, std::int64_t key, std::int64_t depth, T* dst) {
            pack_probabilities(reinterpret_cast<const std::byte*>(probabilities + row * keys + key), keys, 1, n, depth, dst);
          },
          [&](std::int64_t key, std::int64_t depth, std::int64_t column, std::int64_t n, T* dst) {
            pack_v(from_v + (key * v.row_stride + column * v.column_stride) * v.item, v.column_stride, v.row_stride, n, depth, dst);
          },
          [&](std::int64_t row, std::int64_t column, std::int64_t n, std::int64_t columns, T* tile) {
            for (std::int64_t r = 0; r < n; ++r) {
              for (std::int64_t c = 0; c < columns; ++c) tile[r * kColumns<T> + c] /= sums[row + r];
              write(y.at(bindings, head, row0 + row + r) + column * y.column_stride * y.item, y.column_stride, tile + r * kColumns<T>, columns);
            }
          });
    }
  }

  void run(void* const* bindings, std::byte* scratch) const {
    const std::int64_t blocks = (queries + block - 1) / block;
    const bool small = batch * queries * keys * (width + value_width) < 1 << 20;
    parallel_jobs(small ? 1 : threads, batch * blocks, [&](std::int64_t job, int worker) {
      auto* probabilities = reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * worker_bytes());
      T *buffer = probabilities + block * keys, *sums = buffer + keys, *products = sums + block;
      const std::int64_t head = job / blocks, row0 = job % blocks * block, rows = std::min(block, queries - row0);
      scores(bindings, head, row0, rows, probabilities, products);
      softmax(bindings, head, row0, rows, probabilities, buffer, sums);
      values(bindings, head, row0, rows, probabilities, sums, products);
    });
  }
};

void check_operands(const StepSpec& spec) {
  const bool has_mask = spec.attrs->flag("has_mask", false);
  check_counts(spec, has_mask ? 4 : 3, 1, 1);
  const OperandRef &q = spec.inputs[0], &k = spec.inputs[1], &v = spec.inputs[2], &y = spec.outputs[0];
  const int rank = q.rank;
  check(rank >= 2 && k.rank == rank && v.rank == rank && y.rank == rank && (!has_mask || spec.inputs[3].rank == rank), spec, "ranks differ");
  check(q.dtype == y.dtype && k.dtype == y.dtype && v.dtype == y.dtype && is_floating(y.dtype), spec, "dtypes differ");
  for (int d = 0; d < rank - 2; ++d) {
    check(q.sizes[d] == y.sizes[d] && k.sizes[d] == y.sizes[d] && v.sizes[d] == y.sizes[d] && (!has_mask || spec.inputs[3].sizes[d] == y.sizes[d]), spec,
          "batch sizes differ");
  }
  const int row = rank - 2, column = rank - 1;
  check(q.sizes[column] == k.sizes[column] && k.sizes[row] == v.sizes[row] && y.sizes[row] == q.sizes[row] && y.sizes[column] == v.sizes[column], spec,
        "the matrices do not fit");
  check(!has_mask || (spec.inputs[3].sizes[row] == q.sizes[row] && spec.inputs[3].sizes[column] == k.sizes[row]), spec, "the mask does not fit");
}

template <class T>
StepPtr make(const StepSpec& spec) {
  const Attention<T> attention(spec);
  return make_step(attention.worker_bytes() * static_cast<std::size_t>(attention.threads),
                   [attention](void* const* bindings, std::byte* scratch) { attention.run(bindings, scratch); });
}

}  // namespace

StepPtr make_attention(const StepSpec& spec) {
  check_operands(spec);
  if (spec.outputs[0].numel() == 0) return make_step([](void* const*) {});
  return spec.outputs[0].dtype == DType::f64 ? make<double>(spec) : make<float>(spec);
}

}  // namespace reprise::kernels::reference
