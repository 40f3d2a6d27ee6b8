// Steps that make values from nothing: fill, iota, random. And check, which makes errors, and item, which only marks what the executor reads.
#include <atomic>
#include <cmath>
#include <memory>
#include <string>

#include "kernels/reference/convert.h"
#include "kernels/reference/step.h"
#include "kernels/reference/strided.h"
#include "kernels/reference/visit.h"
#include "kernels/reference/walk.h"

namespace reprise::kernels::reference {
namespace {

template <class E>
E element(const sym::Number& n) {
  if (n.is_real) return convert<E>(n.real);
  if constexpr (tensor::kIsReal<E>) return convert<E>(static_cast<double>(n.integer));
  return convert<E>(n.integer);
}

// Philox 4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four words from a counter and a key.
std::array<std::uint32_t, 4> philox(std::uint64_t counter, std::uint64_t stream, std::uint64_t key) {
  std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), static_cast<std::uint32_t>(stream),
                                 static_cast<std::uint32_t>(stream >> 32)};
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0], p1 = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1), static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1,
         static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

enum class Draw { uniform, normal, integers };

double draw(Draw kind, double low, double high, const std::array<std::uint32_t, 4>& words) {
  constexpr double kUnit = 0x1p-53, kTau = 6.283185307179586;
  const double u = static_cast<double>((std::uint64_t{words[0]} << 21) ^ (words[1] >> 11)) * kUnit;
  if (kind == Draw::uniform) return low + u * (high - low);
  if (kind == Draw::integers) return std::floor(low + u * (high - low));
  const double v = static_cast<double>((std::uint64_t{words[2]} << 21) ^ (words[3] >> 11)) * kUnit;
  return low + high * std::sqrt(-2 * std::log1p(-u)) * std::cos(kTau * v);  // mean low, deviation high
}

}  // namespace

StepPtr make_fill(const StepSpec& spec) {
  check(spec.outputs.size() == 1, spec, "wrong number of operands");
  const auto y = spec.outputs[0];
  const auto value = spec.attrs->number("value");
  return visit(y.dtype, [&]<class E>(E) {
    return make_step([y, window = Window(y.shape(), {y.strides.data(), static_cast<std::size_t>(y.rank)}), fill = element<E>(value)](void* const* bindings) {
      auto* out = reinterpret_cast<E*>(y.at(bindings));
      window.for_each_run(0, window.numel(), [&](std::int64_t offset, std::int64_t stride, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) out[offset + i * stride] = fill;
      });
    });
  });
}

StepPtr make_iota(const StepSpec& spec) {
  check_counts(spec, 0, 1, 1);
  const auto y = spec.outputs[0];
  check(y.rank == 1, spec, "the result must have one dimension");
  const auto start = spec.attrs->number("start"), step = spec.attrs->number("step");
  const bool exact = !start.is_real && !step.is_real;
  return visit(y.dtype, [&]<class E>(E) {
    return make_step([=](void* const* bindings) {
      auto* out = reinterpret_cast<E*>(y.at(bindings));
      for (std::int64_t i = 0; i < y.sizes[0]; ++i) {
        out[i * y.strides[0]] = exact ? element<E>(sym::Number::of(start.integer + i * step.integer))
                                      : element<E>(sym::Number::of_real(start.as_real() + static_cast<double>(i) * step.as_real()));
      }
    });
  });
}

StepPtr make_random(const StepSpec& spec) {
  check_counts(spec, 0, 1, 1);
  const auto y = spec.outputs[0];
  const auto& text = spec.attrs->text("kind");
  check(text == "uniform" || text == "normal" || text == "integers", spec, "unknown kind");
  const auto kind = text == "uniform" ? Draw::uniform : text == "normal" ? Draw::normal : Draw::integers;
  const double low = spec.attrs->real("low"), high = spec.attrs->real("high");
  const auto key = static_cast<std::uint64_t>(spec.attrs->has("seed_slot") ? spec.attrs->integer("seed_slot") : 0);
  // Every run draws a stream of its own; runs of one step are numbered in the order in which they begin.
  auto runs = std::make_shared<std::atomic<std::uint64_t>>(0);
  return visit(y.dtype, [&]<class E>(E) {
    return make_step([=](void* const* bindings) {
      const auto stream = runs->fetch_add(1);
      auto* out = reinterpret_cast<E*>(y.at(bindings));
      std::uint64_t counter = 0;
      walk<1>(y.shape(), {y.strides.data()}, [&](const auto& o) { out[o[0]] = convert<E>(draw(kind, low, high, philox(counter++, stream, key))); });
    });
  });
}

StepPtr make_item(const StepSpec& spec) {
  check_counts(spec, 1, 0, 0);
  check(spec.inputs[0].numel() == 1, spec, "the operand must have one element");
  return make_step([](void* const*) {});
}

StepPtr make_check(const StepSpec& spec) {
  check_counts(spec, 1, 0, 0);
  const auto x = spec.inputs[0];
  check(x.dtype == DType::boolean && x.numel() == 1, spec, "the operand must be one boolean");
  return make_step([x, message = spec.attrs->text("message"), name = spec.name](void* const* bindings) {
    REPRISE_CHECK(*reinterpret_cast<const bool*>(x.at(bindings)), ShapeError, "[run/{}] {}", name, message);
  });
}

}  // namespace reprise::kernels::reference
