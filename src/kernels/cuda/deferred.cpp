#include "kernels/cuda/deferred.h"

#include <future>
#include <semaphore>
#include <utility>
#include <vector>

namespace reprise::kernels::cuda {
namespace {

/// How many steps are made at once. A service of a Gpu.
class Places {
 public:
  explicit Places(Gpu&) {}
  std::counting_semaphore<>& free() { return free_; }

 private:
  std::counting_semaphore<> free_{8};
};

/// A spec that needs nothing of the caller's: its attributes are bound.
class OwnedSpec {
 public:
  explicit OwnedSpec(const StepSpec& spec)
      : inputs_(spec.inputs.begin(), spec.inputs.end()),
        outputs_(spec.outputs.begin(), spec.outputs.end()),
        attrs_(bound(*spec.attrs)),
        bound_attrs_(attrs_, [](const sym::Expr& e) { return sym::Number::of(*e.as_int()); }),
        fixed_(spec.fixed.begin(), spec.fixed.end()),
        spec_{spec} {
    spec_.fixed = fixed_;
    spec_.inputs = inputs_;
    spec_.outputs = outputs_;
    spec_.attrs = &bound_attrs_;
  }
  OwnedSpec(const OwnedSpec&) = delete;
  OwnedSpec& operator=(const OwnedSpec&) = delete;
  [[nodiscard]] const StepSpec& get() const { return spec_; }

 private:
  static core::Attrs bound(const BoundAttrs& attrs) {
    core::Attrs result;
    for (const auto& [key, value] : attrs.unbound().items()) {
      if (const auto* e = std::get_if<sym::Expr>(&value))
        result.set(key, sym::Expr(attrs.eval(*e).as_int()));
      else if (std::holds_alternative<std::vector<sym::Expr>>(value))
        result.set(key, core::exprs(attrs.ints(key)));
      else
        result.set(key, value);
    }
    return result;
  }

  std::vector<OperandRef> inputs_, outputs_;
  core::Attrs attrs_;
  BoundAttrs bound_attrs_;
  std::vector<void*> fixed_;
  StepSpec spec_;
};

class DeferredStep final : public device::cuda::CudaStep {
 public:
  explicit DeferredStep(std::future<StepPtr> step) : step_(std::move(step)) {}
  void describe(Operations& operations) const override {
    const StepPtr& step = step_.get();
    step->set_scratch_slot(scratch_slot());
    dynamic_cast<const CudaStep&>(*step).describe(operations);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return step_.get()->scratch_bytes(); }

 private:
  std::shared_future<StepPtr> step_;
};

}  // namespace

StepPtr make_deferred(Gpu& gpu, const StepSpec& spec, std::function<StepPtr(const StepSpec&)> make) {
  auto& places = gpu.service<Places>().free();
  auto owned = std::make_shared<const OwnedSpec>(spec);
  return std::make_unique<DeferredStep>(std::async(std::launch::async, [&places, owned = std::move(owned), make = std::move(make)] {
    places.acquire();
    try {
      StepPtr step = make(owned->get());
      places.release();
      return step;
    } catch (...) {
      places.release();
      throw;
    }
  }));
}

}  // namespace reprise::kernels::cuda
