// cuDNN's graph API: the library, its handles and its descriptors, opened when the first convolution is made.
#pragma once

#include <cudnn_graph.h>

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

/// A service of a Gpu. Thread safe; lives as long as the process.
class CudnnLibrary {
 public:
  explicit CudnnLibrary(Gpu& gpu);

  [[nodiscard]] bool available() const { return library_ != nullptr; }
  /// Throws DeviceError "[kernels/conv] <what> failed (<what the library says>)".
  void check(cudnnStatus_t status, const char* what) const;

  /// A handle for one thread, for a while.
  class Handle {
   public:
    explicit Handle(CudnnLibrary& library) : library_(library), handle_(library.take()) {}
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { library_.give_back(handle_); }
    [[nodiscard]] cudnnHandle_t get() const { return handle_; }

   private:
    CudnnLibrary& library_;
    cudnnHandle_t handle_;
  };

  decltype(&cudnnCreate) Create = nullptr;
  decltype(&cudnnSetStream) SetStream = nullptr;
  decltype(&cudnnGetErrorString) GetErrorString = nullptr;
  decltype(&cudnnGetLastErrorString) GetLastErrorString = nullptr;
  decltype(&cudnnGetVersion) GetVersion = nullptr;
  decltype(&cudnnBackendCreateDescriptor) BackendCreateDescriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) BackendDestroyDescriptor = nullptr;
  decltype(&cudnnBackendSetAttribute) BackendSetAttribute = nullptr;
  decltype(&cudnnBackendGetAttribute) BackendGetAttribute = nullptr;
  decltype(&cudnnBackendFinalize) BackendFinalize = nullptr;
  decltype(&cudnnBackendExecute) BackendExecute = nullptr;

 private:
  cudnnHandle_t take();
  void give_back(cudnnHandle_t handle);

  void* library_ = nullptr;
  std::mutex mutex_;
  std::vector<cudnnHandle_t> idle_;
};

/// The attribute type of a C++ type.
template <class T>
struct CudnnType;
#define REPRISE_CUDNN_TYPE(type, name)                         \
  template <>                                                  \
  struct CudnnType<type> {                                     \
    static constexpr cudnnBackendAttributeType_t kType = name; \
  };
REPRISE_CUDNN_TYPE(cudnnHandle_t, CUDNN_TYPE_HANDLE)
REPRISE_CUDNN_TYPE(cudnnDataType_t, CUDNN_TYPE_DATA_TYPE)
REPRISE_CUDNN_TYPE(bool, CUDNN_TYPE_BOOLEAN)
REPRISE_CUDNN_TYPE(std::int64_t, CUDNN_TYPE_INT64)
REPRISE_CUDNN_TYPE(float, CUDNN_TYPE_FLOAT)
REPRISE_CUDNN_TYPE(double, CUDNN_TYPE_DOUBLE)
REPRISE_CUDNN_TYPE(cudnnConvolutionMode_t, CUDNN_TYPE_CONVOLUTION_MODE)
REPRISE_CUDNN_TYPE(cudnnBackendHeurMode_t, CUDNN_TYPE_HEUR_MODE)
REPRISE_CUDNN_TYPE(cudnnBackendKnobType_t, CUDNN_TYPE_KNOB_TYPE)
REPRISE_CUDNN_TYPE(cudnnBackendNumericalNote_t, CUDNN_TYPE_NUMERICAL_NOTE)
REPRISE_CUDNN_TYPE(cudnnBackendBehaviorNote_t, CUDNN_TYPE_BEHAVIOR_NOTE)
REPRISE_CUDNN_TYPE(cudnnPointwiseMode_t, CUDNN_TYPE_POINTWISE_MODE)
REPRISE_CUDNN_TYPE(cudnnNanPropagation_t, CUDNN_TYPE_NAN_PROPOGATION)
REPRISE_CUDNN_TYPE(cudnnBackendDescriptor_t, CUDNN_TYPE_BACKEND_DESCRIPTOR)  // void*: see set_pointers
#undef REPRISE_CUDNN_TYPE

/// One descriptor: set its attributes, then finalize. Everything throws DeviceError.
class CudnnDescriptor {
 public:
  CudnnDescriptor(const CudnnLibrary& library, cudnnBackendDescriptorType_t type) : library_(&library) {
    library.check(library.BackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept : library_(other.library_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept {
    std::swap(library_, other.library_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~CudnnDescriptor() {
    if (descriptor_ != nullptr) library_->BackendDestroyDescriptor(descriptor_);
  }

  [[nodiscard]] cudnnBackendDescriptor_t get() const { return descriptor_; }
  template <class T>
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set_many(name, std::span<const T>(&value, 1));
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) { return set(name, value.descriptor_); }
  template <class T>
  CudnnDescriptor& set_many(cudnnBackendAttributeName_t name, std::span<const T> values) {
    library_->check(library_->BackendSetAttribute(descriptor_, name, CudnnType<T>::kType, static_cast<std::int64_t>(values.size()), values.data()),
                    "cudnnBackendSetAttribute");
    return *this;
  }
  CudnnDescriptor& set_pointers(cudnnBackendAttributeName_t name, std::span<void* const> values) {
    library_->check(library_->BackendSetAttribute(descriptor_, name, CUDNN_TYPE_VOID_PTR, static_cast<std::int64_t>(values.size()), values.data()),
                    "cudnnBackendSetAttribute");
    return *this;
  }
  CudnnDescriptor& finalize() {
    library_->check(library_->BackendFinalize(descriptor_), "cudnnBackendFinalize");
    return *this;
  }

  /// How many descriptors an attribute has to give; those that a descriptor was made from are not counted.
  [[nodiscard]] std::int64_t count(cudnnBackendAttributeName_t name) const;
  /// At most `most` values of an attribute.
  template <class T>
  [[nodiscard]] std::vector<T> values(cudnnBackendAttributeName_t name, std::size_t most) const {
    std::vector<T> all(most);
    all.resize(read(name, CudnnType<T>::kType, most, all.data()));
    return all;
  }
  template <class T>
  [[nodiscard]] T value(cudnnBackendAttributeName_t name) const {
    T one{};
    (void)read(name, CudnnType<T>::kType, 1, &one);
    return one;
  }
  /// At most `most` descriptors of `type` that an attribute holds.
  [[nodiscard]] std::vector<CudnnDescriptor> descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type, std::int64_t most) const;

 private:
  /// Gives the number of values written.
  std::size_t read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t room, void* to) const;

  const CudnnLibrary* library_;
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace reprise::kernels::cuda
