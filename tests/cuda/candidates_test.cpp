// Every kernel that competes for a product or convolution gives the same values: the oracle is the reference kernel in f64.
#include "kernels/cuda/candidates.h"

#include <array>
#include <map>
#include <set>

#include "cuda/support.h"
#include "device/cuda/command_list.h"
#include "kernels/kernel.h"
#include "kernels/support.h"
#include "sym/evaluate.h"

namespace reprise::device::cuda::test {
namespace {

using kernels::OperandRef;
using kernels::StepSpec;
using kernels::test::ints;
using kernels::test::Sizes;

/// Row-major but for dimension `inner`, which is the innermost one.
Tensor with_innermost(const Tensor& t, std::size_t inner) {
  Sizes strides(t.sizes().size());
  std::int64_t step = strides[inner] = 1;
  step *= t.sizes()[inner];
  for (std::size_t d = strides.size(); d-- > 0;) {
    if (d == inner) continue;
    strides[d] = step;
    step *= t.sizes()[d];
  }
  Tensor result = Tensor::zeros(Sizes{step}, t.dtype()).as_strided(t.sizes(), strides);
  tensor::copy_into(result, t);
  return result;
}

struct Problem {
  core::Op op;
  core::Attrs attrs;
  std::vector<Tensor> inputs;  // with a bias; all dense, in any order of dimensions
  Tensor y;
};

class CandidatesTest : public OnGpu {
 protected:
  /// By every candidate, with b constant and not, and with an epilogue. Gives the kinds of candidates that ran.
  std::set<std::string> check(const Problem& p) {
    std::set<std::string> kinds;
    for (const bool epilogue : {false, true}) {
      core::Attrs attrs = p.attrs;
      std::vector<Tensor> inputs = p.inputs;
      if (epilogue) {
        attrs.set("epilogue", kernels::test::add_relu(p.y.dtype()));
        inputs.push_back(p.y.clone().as_strided(p.y.sizes(), p.y.strides()));
        tensor::copy_into(inputs.back(), kernels::test::random(p.y.sizes(), p.y.dtype(), kernels::test::Layout::rows, 7));
      }
      std::vector<Tensor> wide;
      for (const Tensor& t : inputs) wide.push_back(t.to(DType::f64));
      core::Attrs wide_attrs = attrs;
      if (epilogue) wide_attrs.set("epilogue", kernels::test::add_relu(DType::f64));
      const Tensor expected = Tensor::empty(p.y.sizes(), DType::f64);
      kernels::run_reference(p.op, wide_attrs, wide, std::array{expected});
      run_all(p, attrs, inputs, kernels::test::values(expected), kinds);
    }
    return kinds;
  }

 private:
  void run_all(const Problem& p, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const kernels::test::Values& expected,
               std::set<std::string>& kinds) {
    const CurrentContext context(gpu->context());
    std::vector<Allocation> memory;
    std::vector<void*> slots;
    std::vector<OperandRef> in;
    const auto bind = [&](const Tensor& t) {
      OperandRef ref{.dtype = t.dtype(), .slot = static_cast<int>(slots.size()), .rank = static_cast<int>(t.rank())};
      std::copy(t.sizes().begin(), t.sizes().end(), ref.sizes.begin());
      std::copy(t.strides().begin(), t.strides().end(), ref.strides.begin());
      memory.emplace_back(device, static_cast<std::size_t>(t.numel()) * item_size(t.dtype()));
      slots.push_back(memory.back().data());
      device->copy(slots.back(), t.data(), memory.back().size(), device->default_stream());
      return ref;
    };
    for (const Tensor& t : inputs) in.push_back(bind(t));
    const std::array out = {bind(p.y)};
    const kernels::BoundAttrs bound(attrs,
                                    [](const sym::Expr& e) { return *sym::evaluate(e, [](const std::string&) { return std::optional<sym::Number>(); }); });
    const std::vector<void*> fixed(slots.begin(), slots.begin() + 2);
    StepSpec spec{.op = p.op, .inputs = in, .outputs = out, .attrs = &bound, .name = "test"};
    // All are made before the first one runs: their kernels are compiled side by side.
    struct Made {
      std::string what;
      std::unique_ptr<Step> step;
    };
    std::vector<Made> all;
    constexpr int kMost = 1000, kMostOfLibrary = 3;
    std::map<std::string, int> of_library;
    for (const std::string& name : kernels::cuda::contraction_candidates(*gpu, spec, kMost)) {
      const std::string kind = name.substr(0, name.find(':'));
      if ((kind == "cudnn" || kind == "cublaslt") && ++of_library[kind] > kMostOfLibrary) continue;
      for (const bool constant : {false, true}) {
        spec.fixed = std::span<void* const>(fixed).first(constant ? 2 : 0);
        all.push_back({name + (constant ? ", b constant" : ""), kernels::cuda::make_contraction(*gpu, spec, name)});
      }
    }
    auto& stream = device->default_stream();
    for (auto& [what, step] : all) {
      if (step == nullptr) continue;
      kinds.insert(what.substr(0, what.find(':')));
      Allocation scratch(device, std::max<std::size_t>(step->scratch_bytes(), 1));
      std::vector<void*> bindings = slots;
      bindings.push_back(scratch.data());
      step->set_scratch_slot(static_cast<int>(slots.size()));
      StepList steps;
      steps.push_back(std::move(step));
      const auto list = device->make_command_list(std::move(steps));
      device->fill(slots.back(), 0xFF, 1, memory.back().size(), stream);
      list->enqueue(stream, bindings.data());
      device->copy(p.y.data(), slots.back(), memory.back().size(), stream);
      stream.synchronize();
      kernels::test::expect_near(p.y, expected, kernels::test::tolerance(p.y.dtype()), what);
      if (HasFailure()) return;
    }
  }
};

TEST_F(CandidatesTest, AgreeOnProducts) {
  struct Shape {
    std::int64_t rows, columns, depth;
  };
  const std::vector<Shape> shapes = {{49, 128, 584}, {1, 1000, 2048}, {300, 264, 1096}, {5, 12, 68}, {70, 131, 256}, {3, 257, 1024}};
  for (const DType dtype : {DType::f16, DType::bf16}) {
    for (const auto& [m, n, k] : std::span(shapes).first(dtype == DType::f16 ? shapes.size() : 1)) {
      for (const bool columns_contiguous : {false, true}) {
        const auto random = [&](const Sizes& sizes, unsigned seed) { return kernels::test::random(sizes, dtype, kernels::test::Layout::rows, seed); };
        const Tensor b = with_innermost(random({k, n}, 2), columns_contiguous ? 1 : 0);
        const Tensor bias = random({n}, 3).as_strided(Sizes{m, n}, Sizes{0, 1});
        for (const bool has_bias : {true, false}) {
          std::vector<Tensor> operands{random({m, k}, 1), b};
          if (has_bias) operands.push_back(bias);
          const auto kinds = check({core::Op::matmul, {{"has_bias", has_bias}}, operands, Tensor::empty(Sizes{m, n}, dtype)});
          EXPECT_EQ(kinds.contains("cluster"), gpu->info().major >= 9 && (n % 8 == 0 || !columns_contiguous));
        }
      }
    }
  }
}

TEST_F(CandidatesTest, AgreeOnConvolutions) {
  struct Shape {
    std::int64_t batch, from, to, size, kernel, stride, padding, dilation;
  };
  const std::vector<Shape> shapes = {{1, 64, 64, 14, 3, 1, 1, 1}, {2, 24, 40, 9, 3, 2, 1, 1}, {1, 4, 64, 30, 7, 2, 3, 1},
                                     {1, 16, 32, 12, 3, 1, 2, 2}, {3, 72, 24, 7, 1, 2, 0, 1}, {1, 512, 512, 7, 3, 1, 1, 1}};
  for (const DType dtype : {DType::f16, DType::bf16}) {
    for (const Shape& s : std::span(shapes).first(dtype == DType::f16 ? shapes.size() : 1)) {
      const auto random = [&](const Sizes& sizes, unsigned seed) { return kernels::test::random(sizes, dtype, kernels::test::Layout::rows, seed); };
      const std::int64_t out = (s.size + 2 * s.padding - s.dilation * (s.kernel - 1) - 1) / s.stride + 1;
      const core::Attrs attrs{{"stride", ints({s.stride, s.stride})},
                              {"padding", ints({s.padding, s.padding})},
                              {"dilation", ints({s.dilation, s.dilation})},
                              {"output_padding", ints({0, 0})},
                              {"groups", kernels::test::integer(1)},
                              {"transposed", false},
                              {"has_bias", true}};
      const auto kinds = check({core::Op::conv,
                                attrs,
                                {with_innermost(random({s.batch, s.from, s.size, s.size}, 1), 1),
                                 with_innermost(random({s.to, s.from, s.kernel, s.kernel}, 2), 1), random({s.to}, 3)},
                                with_innermost(Tensor::zeros(Sizes{s.batch, s.to, out, out}, dtype), 1)});
      EXPECT_EQ(kinds.contains("cluster"), gpu->info().major >= 9);
    }
  }
}

}  // namespace
}  // namespace reprise::device::cuda::test
