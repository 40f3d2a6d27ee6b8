// Normalizations, softmax and reductions of the CPU device in all their variants against the reference kernels in f64.
#include "base/file.h"
#include "base/pages.h"
#include "kernels/cpu/step_maker.h"
#include "kernels/cpu_run.h"
#include "kernels/cpu_variants.h"
#include "kernels/support.h"
#include "mappings.h"
#include "temp_dir.h"

namespace reprise::kernels::test {
namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16, DType::f16};
constexpr std::int64_t kLengths[] = {1, 3, 15, 16, 17, 64, 65, 130, 5000};

std::vector<Tensor> parameters(Tensor x, std::int64_t count, std::int64_t n, DType dtype) {
  std::vector<Tensor> inputs{std::move(x)};
  for (std::int64_t i = 0; i < count; ++i) inputs.push_back(random({n}, dtype, Layout::rows, static_cast<unsigned>(i + 2)));
  return inputs;
}

TEST(CpuRows, LayerAndRmsNorm) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t n : kLengths) {
      for (const bool weight : {false, true}) {
        for (const bool bias : {false, true}) {
          const core::Attrs layer{{"kind", text("layer")}, {"eps", 1e-5}, {"dims", integer(1)}, {"has_weight", weight}, {"has_bias", bias}};
          const core::Attrs rms{{"kind", text("rms")}, {"eps", 1e-6}, {"dims", integer(1)}, {"has_weight", weight}, {"has_bias", bias}};
          const auto inputs = parameters(random({2, 3, n}, dtype), weight + bias, n, dtype);
          const Tensor y = empty({2, 3, n}, dtype), mean = empty({2, 3, 1}, DType::f32), rstd = empty({2, 3, 1}, DType::f32);
          if (n > 1) check_variants(core::Op::norm, layer, inputs, {y, mean, rstd}, tolerance(dtype), "layer norm of " + std::to_string(n));
          check_variants(core::Op::norm, rms, inputs, {y, rstd}, tolerance(dtype), "rms norm of " + std::to_string(n));
        }
      }
    }
  }
}

TEST(CpuRows, NormsWhoseRowsLieApartOrWhoseParametersAreOfAnotherDType) {
  const core::Attrs attrs{{"kind", text("layer")}, {"eps", 1e-5}, {"dims", integer(1)}, {"has_weight", true}, {"has_bias", true}};
  const Tensor x = random({4, 200}).as_strided(Sizes{4, 90}, Sizes{200, 1}, 7),
               y = empty({90, 4}, DType::f32, Layout::columns).as_strided(Sizes{4, 90}, Sizes{90, 1});
  check_variants(core::Op::norm, attrs, {x, random({90}, DType::f32, Layout::gaps, 2), random({90}, DType::bf16, Layout::rows, 3)}, {y}, 1e-5);
  EXPECT_EQ(cpu_kernel(core::Op::norm, attrs, {x, random({90}), random({90})}, {y}), "cpu");
}

TEST(CpuRows, GroupAndBatchNorm) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t space : {1, 7, 40}) {
      const Tensor x = random({2, 12, space, 3}, dtype), y = empty({2, 12, space, 3}, dtype), mean = empty({2, 4}, DType::f32),
                   rstd = empty({2, 4}, DType::f32);
      const core::Attrs group{{"kind", text("group")}, {"eps", 1e-5}, {"groups", integer(4)}, {"has_weight", true}, {"has_bias", true}};
      check_variants(core::Op::norm, group, parameters(x, 2, 12, dtype), {y, mean, rstd}, tolerance(dtype), "group norm");
      const core::Attrs batch{{"kind", text("batch")}, {"eps", 4.0}, {"has_weight", true}, {"has_bias", false}};
      check_variants(core::Op::norm, batch, parameters(x, 3, 12, dtype), {y}, tolerance(dtype), "batch norm");
    }
  }
}

TEST(CpuRows, Softmax) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t n : kLengths) {
      for (const bool log : {false, true}) {
        const Tensor x = random({3, n}, dtype), y = empty({3, n}, dtype);
        check_variants(core::Op::softmax, {{"axis", integer(1)}, {"log", log}}, {x}, {y}, tolerance(dtype), "softmax of " + std::to_string(n));
      }
    }
    Values special(4 * 20, 1.0);
    special[0] = -kInf;
    special[20] = kNan;
    special[40] = kInf;
    for (std::size_t i = 60; i < 80; ++i) special[i] = -kInf;
    for (const bool log : {false, true}) {
      check_variants(core::Op::softmax, {{"axis", integer(1)}, {"log", log}}, {tensor({4, 20}, special, dtype)}, {empty({4, 20}, dtype)}, tolerance(dtype));
    }
  }
}

void check_reductions(const Tensor& x, const Sizes& axes, const std::string& what) {
  Sizes sizes = x.sizes();
  for (const std::int64_t axis : axes) sizes[static_cast<std::size_t>(axis)] = 1;
  for (const char* kind : {"sum", "max", "min"}) {
    const core::Attrs attrs{{"kind", text(kind)}, {"axes", ints(axes)}};
    const Tensor y = empty(sizes, x.dtype());
    check_variants(core::Op::reduce, attrs, {x}, {y}, tolerance(x.dtype()), std::string(kind) + " " + what);
    EXPECT_EQ(cpu_kernel(core::Op::reduce, attrs, {x}, {y}), "cpu") << what;
  }
}

TEST(CpuRows, Reductions) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t n : kLengths) {
      check_reductions(random({3, n}, dtype), {1}, "along rows");
      check_reductions(random({7, n}, dtype), {0}, "across rows");
      check_reductions(random({2, 5, n}, dtype), {1}, "of planes");
    }
    check_reductions(random({2, 7, 6, 70}, dtype).as_strided(Sizes{2, 70, 7, 6}, Sizes{7 * 6 * 70, 1, 6 * 70, 70}), {2, 3}, "with channels innermost");
  }
}

TEST(CpuRows, SumsOfAnotherDTypeAndNan) {
  check_variants(core::Op::reduce, {{"kind", text("sum")}, {"axes", ints({1})}}, {random({4, 100}, DType::bf16)}, {empty({4, 1}, DType::f32)}, 1e-5);
  Values x(2 * 70, 1.0);
  x[5] = kNan;
  x[33] = kInf;
  for (const char* kind : {"sum", "max", "min"}) {
    check_variants(core::Op::reduce, {{"kind", text(kind)}, {"axes", ints({1})}}, {tensor({2, 70}, x)}, {empty({2, 1}, DType::f32)}, 1e-6, kind);
    check_variants(core::Op::reduce, {{"kind", text(kind)}, {"axes", ints({0})}}, {tensor({2, 70}, x)}, {empty({1, 70}, DType::f32)}, 1e-6, kind);
  }
}

// A table as a module's file holds it: large, mapped, rows picked by data.
class FileRows : public ::testing::Test {
 protected:
  static constexpr std::int64_t kRows = 5000, kColumns = 1024;
  FileRows() {
    std::string bytes(static_cast<std::size_t>(kRows * kColumns) * 4, '\0');
    auto* values = reinterpret_cast<float*>(bytes.data());
    for (std::int64_t i = 0; i < kRows * kColumns; ++i) values[i] = static_cast<float>(i);
    file_ = base::MappedFile::open(dir_.write("table", bytes));
    table_ = Tensor::from_blob(const_cast<std::byte*>(file_->bytes().data()), Sizes{kRows, kColumns}, DType::f32);
    base::drop_pages(file_->bytes().data(), file_->bytes().size());
  }

  /// Whether the table was fixed for the step.
  void pick(const Tensor& indices, const Tensor& y, bool fixed) {
    CpuRun run({.fixed = fixed ? std::vector{0} : std::vector<int>()});
    run.make(core::Op::index, {{"axes", ints({0})}, {"position", integer(0)}}, {table_, indices}, {y}, cpu::step_maker());
    run.run();
  }

  testing_support::TempDir dir_;
  std::shared_ptr<const base::MappedFile> file_;
  Tensor table_;
};

TEST_F(FileRows, ArePickedWithoutMappingThem) {
  const Tensor indices = tensor({2, 4}, {3, 4, 5, 4999, 0, -1, -5000, 2500}, DType::i64);
  const Tensor y = empty({2, 4, kColumns}, DType::f32), want = empty({2, 4, kColumns}, DType::f32);
  pick(indices, y, true);
  EXPECT_EQ(testing_support::resident_bytes(file_->bytes().data()), 0U);
  pick(indices, want, false);
  expect_near(y, values(want), 0);
}

TEST_F(FileRows, ThatAreNotThereAreAnError) {
  const Tensor y = empty({1, kColumns}, DType::f32);
  for (const double index : {5000.0, -5001.0}) EXPECT_THROW(pick(tensor({1}, {index}, DType::i64), y, true), ShapeError) << index;
}

}  // namespace
}  // namespace reprise::kernels::test
