// Foreign kernels: a user's own code as one step of a module, on the CPU or on a GPU. Part of the runtime library; docs/converters.md is the guide.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "reprise/device.h"
#include "reprise/dtype.h"
#include "reprise/op_node.h"

namespace reprise {

namespace kernels {
class BoundForeign;
}

/// A tensor that a foreign kernel reads or writes: contiguous, on the device of the function that is called.
struct ForeignTensor {
  DType dtype = DType::f32;
  std::span<const std::int64_t> sizes;
  void* data = nullptr;  // null while only shapes are known

  [[nodiscard]] std::int64_t numel() const {
    std::int64_t count = 1;
    for (const auto size : sizes) count *= size;
    return count;
  }
  [[nodiscard]] std::size_t nbytes() const { return static_cast<std::size_t>(numel()) * item_size(dtype); }
  template <class T>
  [[nodiscard]] T* data_as() const {
    return static_cast<T*>(data);
  }
};

/// The operands and arguments of a node with the shapes of one call. Nothing here allocates. Names are the schema's; unknown ones, places beyond the end and
/// arguments of another type throw InvalidArgument.
class ForeignShapes {
 public:
  explicit ForeignShapes(const kernels::BoundForeign& bound, void* const* bindings = nullptr) : bound_(&bound), bindings_(bindings) {}

  /// All tensor arguments in the order of the schema; None is left out, lists are counted through.
  [[nodiscard]] std::size_t inputs() const;
  [[nodiscard]] ForeignTensor input(std::size_t index) const;
  [[nodiscard]] ForeignTensor input(std::string_view name) const;
  [[nodiscard]] bool has_input(std::string_view name) const;  // false: None
  [[nodiscard]] std::size_t outputs() const;
  [[nodiscard]] ForeignTensor output(std::size_t index = 0) const;

  [[nodiscard]] bool is_none(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] double real(std::string_view name) const;
  [[nodiscard]] bool flag(std::string_view name) const;
  [[nodiscard]] const std::string& text(std::string_view name) const;
  [[nodiscard]] DType dtype(std::string_view name) const;
  [[nodiscard]] std::span<const std::int64_t> integers(std::string_view name) const;
  [[nodiscard]] std::span<const double> reals(std::string_view name) const;
  /// How many threads the module gives a host function.
  [[nodiscard]] int threads() const;

 protected:
  const kernels::BoundForeign* bound_;
  void* const* bindings_;
};

/// A call of a foreign kernel's function.
class ForeignCall : public ForeignShapes {
 public:
  ForeignCall(const kernels::BoundForeign& bound, void* const* bindings, void* workspace, void* stream = nullptr)
      : ForeignShapes(bound, bindings), workspace_(workspace), stream_(stream) {}
  /// `workspace_bytes` bytes at a multiple of 64, undefined contents; null when none were asked for.
  [[nodiscard]] void* workspace() const { return workspace_; }
  /// The cudaStream_t to enqueue to; null on the host.
  [[nodiscard]] void* stream() const { return stream_; }

 private:
  void* workspace_;
  void* stream_;
};

using ForeignFunction = std::function<void(const ForeignCall& call)>;

/// A kernel as CUDA C++ text. Its parameters: a pointer for every tensor input, one for every output, one to the workspace if there is any, then the launch's
/// scalars.
struct NvrtcKernel {
  using Scalar = std::variant<std::int32_t, std::int64_t, float, double>;
  struct Launch {
    std::array<unsigned, 3> grid = {1, 1, 1}, block = {1, 1, 1};
    unsigned shared_bytes = 0;
    std::vector<Scalar> scalars = {};
  };
  std::string source;
  std::string entry;                      // an extern "C" function's name, or a name expression ("scale<float>")
  std::vector<std::string> options = {};  // for NVRTC: "-DWIDTH=4"; the architecture is added
  /// Asked once for each shape.
  std::function<Launch(const ForeignShapes& shapes)> launch;
};

/// A custom op's implementation. On the CPU `host` runs it; on a GPU the first of `nvrtc`, `cuda` and `host` that is there (`host`: with its operands copied to
/// the host and back). Functions may be called from several threads at once, and on threads of the library's. What they throw ends the call, which leaves the
/// module usable; messages are kept as they are.
struct ForeignKernel {
  /// As torch.library.define has it: "mylib::scale_(Tensor(a!) x, Tensor? bias, float factor=2.0) -> Tensor". Tensors with an alias mark like (a!) are written
  /// in place, others are only read.
  std::string schema;
  /// What saved modules call it; empty: the op ("mylib.scale_.default"). Several kernels for one op need names of their own.
  std::string name = {};
  ForeignFunction host = {};
  /// Enqueues to `call.stream()` and nowhere else, and neither waits for it nor reads device memory.
  ForeignFunction cuda = {};
  std::optional<NvrtcKernel> nvrtc = std::nullopt;

  /// What the op returns. Empty: as the exporter worked it out; where both are there they must agree.
  std::function<std::vector<TensorInfo>(const OpNode& node)> infer = {};
  CapabilityValidator capability_validator = {};
  ConverterPriority priority = ConverterPriority::standard;
  /// Whether it takes nodes with symbolic sizes.
  bool supports_dynamic_shapes = false;
  /// Sizes of its outputs depend on data. `host_sizes` or `cuda_sizes` then write those sizes to output(0), an i64 vector, in the order in which they first
  /// stand in the op's outputs; after that the outputs are made and the kernel runs.
  bool requires_output_allocator = false;
  ForeignFunction host_sizes = {}, cuda_sizes = {};

  /// Memory that it needs during a call. Asked once for each shape.
  std::function<std::size_t(const ForeignShapes& shapes)> workspace_bytes = {};
  /// Why it cannot be part of a recording (it waits, it reads a file): it then runs live between recordings. Empty: it can.
  std::string not_capturable = {};
  /// Called before each recording, after the warm-ups. What it throws makes the kernel run live between recordings at these shapes.
  ForeignFunction before_capture = {};
};

/// For all modules that are compiled or loaded from now on; one of the same name is replaced. Thread safe. Throws InvalidArgument: a bad schema, nothing to
/// run, sizes from data without a function for them.
void register_foreign_kernel(ForeignKernel kernel);
/// Modules that use it keep it. False: there was none.
bool unregister_foreign_kernel(std::string_view name);

}  // namespace reprise
