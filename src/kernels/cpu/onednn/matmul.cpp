#include "kernels/cpu/onednn/contraction.h"
#include "kernels/cpu/product.h"

namespace reprise::kernels::cpu {

using dnnl::memory;

StepPtr make_matmul(const Contraction& matmul, PackedWeights& weights) {
  const auto product = describe_product(matmul);
  if (!product || !data_type(product->y.dtype)) return nullptr;
  const Product& p = *product;
  const auto& spec = matmul.spec;
  const memory::desc from = describe(p.a), given = describe(p.b), to = describe(p.y);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, from, p.a}, {DNNL_ARG_DST, to, p.y}};
  memory::desc bias;
  if (p.has_bias) {
    if (!is_row(p.bias)) return nullptr;
    memory::dims dims(static_cast<std::size_t>(p.y.rank), 1);
    dims.back() = p.y.sizes[static_cast<std::size_t>(p.y.rank - 1)];
    bias = {dims, to.data_type(), p.y.rank == 2 ? memory::format_tag::ab : memory::format_tag::abc};
    arguments.push_back({DNNL_ARG_BIAS, bias, p.bias});
  }
  Contraction folded = matmul;
  if (p.has_addend) {
    if (!lies_as(p.addend, p.y)) return nullptr;
    folded.addend = &p.addend;
  }
  const auto attr = attributes(folded, to, arguments, matmul.is_in_place() ? Addend::result : Addend::argument);
  const bool fixed = p.b.rank == 2 && is_fixed(spec, p.b);
  const memory::desc wanted = fixed ? memory::desc(given.dims(), given.data_type(), memory::format_tag::any) : given;
  const ThreadScope scope(spec.threads);
  const dnnl::matmul::desc described = p.has_bias ? dnnl::matmul::desc(from, wanted, bias, to) : dnnl::matmul::desc(from, wanted, to);
  const dnnl::matmul::primitive_desc chosen(described, attr, engine(), true);
  if (!chosen) return nullptr;
  std::optional<Packing> streamed;
  if (fixed)
    arguments.push_back(weights_argument(spec, p.b, given, chosen.weights_desc(), weights, streamed));
  else
    arguments.push_back({DNNL_ARG_WEIGHTS, chosen.weights_desc(), p.b});
  auto step = make_primitive_step(dnnl::matmul(chosen), std::move(arguments), chosen.scratchpad_desc(), spec.threads);
  if (streamed) spec.packings->push_back(std::move(*streamed));
  return step;
}

}  // namespace reprise::kernels::cpu
