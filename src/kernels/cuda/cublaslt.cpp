#include "kernels/cuda/cublaslt.h"

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "device/cuda/shared_library.h"

namespace reprise::kernels::cuda {
namespace {

constexpr std::size_t kMaxWorkspaceBytes = std::size_t{32} << 20;
constexpr std::int64_t kMaxLoops = 32;  // products that one step starts one after the other

/// The library and one handle, which any number of threads may use.
class Library {
 public:
  explicit Library(Gpu& gpu) {
    if (gpu.context() == nullptr) return;
    try {
      library_ = device::cuda::open_shared_library("cuBLASLt", {"libcublasLt.so.13", "libcublasLt.so.12"});
    } catch (const DeviceError&) {
      return;  // our own kernels do its work
    }
#define REPRISE_FIND(name) device::cuda::find_function(name, library_, "cuBLASLt", "cublasLt" #name)
    REPRISE_FIND(Create);
    REPRISE_FIND(MatmulDescCreate);
    REPRISE_FIND(MatmulDescDestroy);
    REPRISE_FIND(MatmulDescSetAttribute);
    REPRISE_FIND(MatrixLayoutCreate);
    REPRISE_FIND(MatrixLayoutDestroy);
    REPRISE_FIND(MatrixLayoutSetAttribute);
    REPRISE_FIND(MatmulPreferenceCreate);
    REPRISE_FIND(MatmulPreferenceDestroy);
    REPRISE_FIND(MatmulPreferenceSetAttribute);
    REPRISE_FIND(MatmulAlgoGetHeuristic);
    REPRISE_FIND(Matmul);
    REPRISE_FIND(GetStatusString);
#undef REPRISE_FIND
    const device::cuda::LibraryTimer timer;
    check(Create(&handle_), "cublasLtCreate");
  }

  [[nodiscard]] bool available() const { return handle_ != nullptr; }
  [[nodiscard]] cublasLtHandle_t handle() const { return handle_; }  // lives as long as the process
  void check(cublasStatus_t status, const char* what) const {
    REPRISE_CHECK(status == CUBLAS_STATUS_SUCCESS, DeviceError, "[kernels/matmul] {} failed ({})", what, GetStatusString(status));
  }

  decltype(&cublasLtCreate) Create = nullptr;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate = nullptr;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy = nullptr;
  decltype(&cublasLtMatrixLayoutSetAttribute) MatrixLayoutSetAttribute = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic = nullptr;
  decltype(&cublasLtMatmul) Matmul = nullptr;
  decltype(&cublasLtGetStatusString) GetStatusString = nullptr;

 private:
  void* library_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
};

cudaDataType_t data_type(DType dtype) {
  return dtype == DType::f16 ? CUDA_R_16F : dtype == DType::bf16 ? CUDA_R_16BF : dtype == DType::f64 ? CUDA_R_64F : CUDA_R_32F;
}

/// A dimension that operands walk together; for b and y it may be a batch, a row or a column.
struct Walk {
  std::int64_t size = 1, a = 0, b = 0, y = 0, bias = 0, added = 0;
};

/// A column-major matrix, perhaps to be read transposed.
struct MatrixView {
  std::int64_t rows = 0, columns = 0, leading = 0;
  bool transposed = false;
};

// The matrix whose element (i, j) lies at i · row_stride + j · column_stride.
std::optional<MatrixView> view_of(std::int64_t rows, std::int64_t row_stride, std::int64_t columns, std::int64_t column_stride) {
  if ((row_stride == 1 || rows == 1) && (columns == 1 || column_stride >= rows)) return MatrixView{rows, columns, columns == 1 ? rows : column_stride, false};
  if ((column_stride == 1 || columns == 1) && (rows == 1 || row_stride >= columns)) return MatrixView{columns, rows, rows == 1 ? columns : row_stride, true};
  return std::nullopt;
}

/// The product as the library sees it: column-major D = left · right, which is y transposed where y is row-major.
struct Product {
  MatrixView left, right, result, added;
  std::vector<Walk> loops;  // batches beyond the one that the library walks
  Walk batch;
  OperandRef left_operand, right_operand, y, bias, addend;
  bool swapped = false;  // left is b
  bool has_bias = false, has_addend = false;
  DType dtype = DType::f32;
  bool allow_tf32 = false;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
};

struct Shape {
  Walk rows, columns;  // of y
  std::int64_t depth = 0, a_depth = 0, b_depth = 0;
  std::vector<Walk> batches;
};

/// Rows, columns and batches of a contraction, `added` strides from an operand that lies as y.
Shape shape_of(const Contraction& c, bool adds) {
  const GemmLayout& g = c.layout;
  Shape s;
  s.depth = g.depth;
  s.a_depth = g.a_depth[0];
  s.b_depth = g.b_depth[0];
  s.columns = {g.columns, 0, g.b_column, g.y_column, g.bias_column, adds ? g.y_column : 0};
  const auto last = static_cast<std::size_t>(g.row_rank - 1);
  for (std::size_t d = 0; d < last; ++d) s.batches.push_back({g.row_sizes[d], g.a_row[d], 0, g.y_row[d], g.bias_row[d], adds ? g.y_row[d] : 0});
  s.rows = {g.row_sizes[last], g.a_row[last], 0, g.y_row[last], g.bias_row[last], adds ? g.y_row[last] : 0};
  for (std::size_t d = 0; d < static_cast<std::size_t>(g.batch_rank); ++d)
    s.batches.push_back({g.batch_sizes[d], g.a_batch[d], g.b_batch[d], g.y_batch[d], g.bias_batch[d], adds ? g.y_batch[d] : 0});
  return s;
}

std::optional<cublasLtEpilogue_t> epilogue_for(const Epilogue& e, bool bias_vector, DType dtype) {
  int kind = CUBLASLT_EPILOGUE_DEFAULT;
  // The library's GELU is the one with tanh; the other differs by less than half precision rounds.
  const bool gelu = e.form.activation == Activation::gelu_tanh || (e.form.activation == Activation::gelu && (dtype == DType::f16 || dtype == DType::bf16));
  if (e.form.activation == Activation::relu)
    kind = CUBLASLT_EPILOGUE_RELU;
  else if (gelu)
    kind = CUBLASLT_EPILOGUE_GELU;
  else if (e.form.activation != Activation::identity)
    return std::nullopt;
  if (bias_vector) kind = kind == CUBLASLT_EPILOGUE_DEFAULT ? CUBLASLT_EPILOGUE_BIAS : kind | CUBLASLT_EPILOGUE_BIAS;
  return static_cast<cublasLtEpilogue_t>(kind);
}

/// The bias goes to the library as a vector along D's rows, or as the matrix that it adds.
bool set_bias(Product& p, const Contraction& c, const Shape& s, const Epilogue& e) {
  if (e.form.adds) {
    p.has_addend = true;
    p.addend = e.operands[0];
  }
  if (!c.has_bias) return true;
  const Walk &down = p.swapped ? s.columns : s.rows, &across = p.swapped ? s.rows : s.columns;  // D's rows and columns
  const bool shared = std::all_of(s.batches.begin(), s.batches.end(), [](const Walk& w) { return w.bias == 0 || w.size == 1; });
  if (shared && (across.bias == 0 || across.size == 1) && (down.bias == 1 || down.size == 1)) {
    p.has_bias = true;
    p.bias = c.bias;
    return true;
  }
  if (p.has_addend) return false;
  p.has_addend = true;
  p.addend = c.bias;
  return true;
}

std::optional<Product> describe(const Contraction& c, const Epilogue& e) {
  if (c.convolution != Convolution::none || !is_floating(c.y.dtype) || c.layout.depth == 0 || (e.form.adds && !lies_as(e, c.y))) return std::nullopt;
  const Shape s = shape_of(c, e.form.adds);
  Product p;
  p.dtype = c.y.dtype;
  p.allow_tf32 = c.allow_tf32;
  p.y = c.y;
  p.swapped = s.columns.y == 1 || s.columns.size == 1;
  const Walk &down = p.swapped ? s.columns : s.rows, &across = p.swapped ? s.rows : s.columns;
  p.left_operand = p.swapped ? c.b : c.a;
  p.right_operand = p.swapped ? c.a : c.b;
  const auto left = p.swapped ? view_of(s.columns.size, s.columns.b, s.depth, s.b_depth) : view_of(s.rows.size, s.rows.a, s.depth, s.a_depth);
  const auto right = p.swapped ? view_of(s.depth, s.a_depth, s.rows.size, s.rows.a) : view_of(s.depth, s.b_depth, s.columns.size, s.columns.b);
  const auto result = view_of(down.size, down.y, across.size, across.y);
  if (!left || !right || !result || result->transposed || !set_bias(p, c, s, e)) return std::nullopt;
  p.left = *left;
  p.right = *right;
  p.result = p.added = *result;
  const bool bias_added = p.has_addend && !e.form.adds;
  if (bias_added) {
    const auto added = view_of(down.size, down.bias, across.size, across.bias);
    if (!added || added->transposed) return std::nullopt;
    p.added = *added;
  }
  const auto epilogue = epilogue_for(e, p.has_bias, p.dtype);
  if (!epilogue) return std::nullopt;
  p.epilogue = *epilogue;
  p.loops = s.batches;
  for (Walk& w : p.loops) {
    if (bias_added) w.added = w.bias;
  }
  // The library walks the largest batch, we the others.
  const auto largest = std::max_element(p.loops.begin(), p.loops.end(), [](const Walk& l, const Walk& r) { return l.size < r.size; });
  if (largest != p.loops.end()) {
    p.batch = *largest;
    p.loops.erase(largest);
  }
  std::int64_t loops = 1;
  for (const Walk& w : p.loops) loops *= w.size;
  return loops <= kMaxLoops ? std::optional(p) : std::nullopt;
}

/// The library's descriptions of a product, and an algorithm.
class Call {
 public:
  Call(const Library& library, const Product& product) : library_(library), p_(product) {
    for (cublasLtMatrixLayout_t& layout : layouts_) layout = nullptr;
    try {
      make_descriptor();
      const bool left_is_b = p_.swapped;
      layouts_[0] = make_layout(p_.left, left_is_b ? p_.batch.b : p_.batch.a);
      layouts_[1] = make_layout(p_.right, left_is_b ? p_.batch.a : p_.batch.b);
      layouts_[2] = make_layout(p_.added, p_.has_addend ? p_.batch.added : p_.batch.y);
      layouts_[3] = make_layout(p_.result, p_.batch.y);
    } catch (...) {
      destroy();
      throw;
    }
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { destroy(); }

  [[nodiscard]] std::vector<cublasLtMatmulHeuristicResult_t> algorithms(int most) const {
    cublasLtMatmulPreference_t preference = nullptr;
    library_.check(library_.MatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      library_.MatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value);
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kMaxWorkspaceBytes});
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(p_.left_operand));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(p_.right_operand));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(p_.has_addend ? p_.addend : p_.y));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(p_.y));
    std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<std::size_t>(most));
    int found = 0;
    const cublasStatus_t status = library_.MatmulAlgoGetHeuristic(library_.handle(), descriptor_, layouts_[0], layouts_[1], layouts_[2], layouts_[3],
                                                                  preference, most, results.data(), &found);
    library_.MatmulPreferenceDestroy(preference);
    results.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<std::size_t>(found) : 0);
    std::erase_if(results, [](const auto& r) { return r.state != CUBLAS_STATUS_SUCCESS || r.workspaceSize > kMaxWorkspaceBytes; });
    return results;
  }

  void enqueue(const cublasLtMatmulHeuristicResult_t& algorithm, CUstream stream, void* const* bindings, int scratch_slot) const {
    cublasLtMatmulDescOpaque_t descriptor = *descriptor_;  // a copy, since it names the bias
    if (p_.has_bias) {
      const void* bias = p_.bias.at(bindings);
      library_.MatmulDescSetAttribute(&descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    }
    void* workspace = algorithm.workspaceSize > 0 ? bindings[scratch_slot] : nullptr;
    for_each_loop([&](std::int64_t a, std::int64_t b, std::int64_t y, std::int64_t added) {
      const std::byte *left = at(p_.left_operand, bindings, p_.swapped ? b : a), *right = at(p_.right_operand, bindings, p_.swapped ? a : b);
      std::byte* result = at(p_.y, bindings, y);
      const std::byte* addend = p_.has_addend ? at(p_.addend, bindings, added) : result;
      const double one[2] = {one_(1), 0}, zero[2] = {0, 0}, *beta = p_.has_addend ? one : zero;
      library_.check(library_.Matmul(library_.handle(), &descriptor, one, left, layouts_[0], right, layouts_[1], beta, addend, layouts_[2], result, layouts_[3],
                                     &algorithm.algo, workspace, algorithm.workspaceSize, reinterpret_cast<cudaStream_t>(stream)),
                     "cublasLtMatmul");
    });
  }

  [[nodiscard]] std::vector<Access> accesses() const {
    std::vector<Access> all{access(p_.left_operand, false), access(p_.right_operand, false), access(p_.y, true)};
    if (p_.has_bias) all.push_back(access(p_.bias, false));
    if (p_.has_addend) all.push_back(access(p_.addend, false));
    return all;
  }

 private:
  // Scalars are of the type of the sums: a float's bits in the first half of a double's storage, or a double.
  [[nodiscard]] double one_(double value) const {
    if (p_.dtype == DType::f64) return value;
    const auto narrow = static_cast<float>(value);
    double storage = 0;
    std::memcpy(&storage, &narrow, sizeof narrow);
    return storage;
  }

  static std::byte* at(const OperandRef& operand, void* const* bindings, std::int64_t offset) {
    return operand.at(bindings) + offset * static_cast<std::int64_t>(item_size(operand.dtype));
  }

  template <class F>
  void for_each_loop(const F& f) const {
    std::int64_t count = 1;
    for (const Walk& w : p_.loops) count *= w.size;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t rest = i, a = 0, b = 0, y = 0, added = 0;
      for (const Walk& w : p_.loops) {
        const std::int64_t q = rest % w.size;
        rest /= w.size;
        a += q * w.a;
        b += q * w.b;
        y += q * w.y;
        added += q * w.added;
      }
      f(a, b, y, added);
    }
  }

  /// What every address of an operand is a multiple of, as far as its slot and offset tell.
  [[nodiscard]] std::uint32_t alignment(const OperandRef& operand) const {
    const auto item = static_cast<std::int64_t>(item_size(operand.dtype));
    std::int64_t bits = static_cast<std::int64_t>(device::cuda::kSlotAlignment) | (operand.offset * item);
    for (int d = 0; d + 2 < operand.rank; ++d) {
      if (operand.sizes[d] > 1) bits |= operand.strides[d] * item;
    }
    return static_cast<std::uint32_t>(bits & -bits);
  }

  void make_descriptor() {
    const bool f64 = p_.dtype == DType::f64;
    const cublasComputeType_t compute = f64 ? CUBLAS_COMPUTE_64F : p_.dtype == DType::f32 && p_.allow_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    library_.check(library_.MatmulDescCreate(&descriptor_, compute, f64 ? CUDA_R_64F : CUDA_R_32F), "cublasLtMatmulDescCreate");
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
      library_.check(library_.MatmulDescSetAttribute(descriptor_, attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, p_.left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p_.right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, p_.epilogue);
    if (p_.has_bias) {
      const std::uintptr_t bias = alignment(p_.bias);  // for the choice of algorithms; calls name the real one
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, data_type(p_.dtype));
    }
  }

  cublasLtMatrixLayout_t make_layout(const MatrixView& m, std::int64_t batch_stride) const {
    cublasLtMatrixLayout_t layout = nullptr;
    library_.check(
        library_.MatrixLayoutCreate(&layout, data_type(p_.dtype), static_cast<std::uint64_t>(m.rows), static_cast<std::uint64_t>(m.columns), m.leading),
        "cublasLtMatrixLayoutCreate");
    const auto batches = static_cast<std::int32_t>(p_.batch.size);
    library_.MatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches, sizeof batches);
    library_.MatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &batch_stride, sizeof batch_stride);
    return layout;
  }

  void destroy() noexcept {
    for (cublasLtMatrixLayout_t layout : layouts_) {
      if (layout != nullptr) library_.MatrixLayoutDestroy(layout);
    }
    if (descriptor_ != nullptr) library_.MatmulDescDestroy(descriptor_);
  }

  const Library& library_;
  Product p_;
  cublasLtMatmulDesc_t descriptor_ = nullptr;
  std::array<cublasLtMatrixLayout_t, 4> layouts_{};  // left, right, added, result
};

}  // namespace

bool cublaslt_takes(const Contraction& contraction, const Epilogue& epilogue) { return describe(contraction, epilogue).has_value(); }

std::vector<StepPtr> make_cublaslt_steps(Gpu& gpu, const Contraction& contraction, const Epilogue& epilogue, int most) {
  std::vector<StepPtr> steps;
  const auto product = describe(contraction, epilogue);
  if (!product) return steps;
  const Library& library = gpu.service<Library>();
  if (!library.available()) return steps;
  const device::cuda::CurrentContext context(gpu.context());
  const auto call = std::make_shared<const Call>(library, *product);
  for (const cublasLtMatmulHeuristicResult_t& algorithm : call->algorithms(most)) {
    steps.push_back(make_step(algorithm.workspaceSize, [call, algorithm](Operations& operations, int scratch_slot) {
      std::vector<Access> accesses = call->accesses();
      if (algorithm.workspaceSize > 0) accesses.push_back({scratch_slot, 0, static_cast<std::int64_t>(algorithm.workspaceSize), true});
      operations.add(
          device::cuda::LibraryCall{
              .enqueue = [call, algorithm, scratch_slot](CUstream stream, void* const* bindings) { call->enqueue(algorithm, stream, bindings, scratch_slot); },
              .early = true},
          std::move(accesses));
    }));
  }
  return steps;
}

}  // namespace reprise::kernels::cuda
