#include "reprise/program.h"

#include "api/compiler/program_impl.h"
#include "import/pt2/load.h"
#include "ir/aten_print.h"

namespace reprise {

namespace {

Dim describe(const sym::Expr& size, const sym::SymbolTable& symbols) {
  const auto range = sym::bounds(size, symbols);
  const auto hint = sym::evaluate(size, [&](const std::string& name) -> std::optional<sym::Number> {
    const int i = symbols.find(name);
    const auto value = i < 0 ? std::nullopt : symbols.at(i).hint;
    return value ? std::optional(sym::Number::of(*value)) : std::nullopt;
  });
  return {size.str(), range.min, range.max, hint ? hint->as_int() : range.min};
}

}  // namespace

std::vector<ProgramInputInfo> Program::inputs() const {
  const auto& program = impl_->program;
  std::vector<ProgramInputInfo> infos;
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const auto& input = program.inputs[i];
    if (input.kind != ir::InputKind::user && input.kind != ir::InputKind::constant) continue;
    ProgramInputInfo info;
    info.name = infos.size() < program.call.input_names.size() ? program.call.input_names[infos.size()] : input.name;
    info.constant = input.kind == ir::InputKind::constant;
    if (const auto* tensor = std::get_if<ir::TensorName>(&program.graph.inputs.at(i))) {
      const auto& meta = program.graph.tensors.at(tensor->name);
      info.dtype = meta.dtype;
      for (const auto& size : meta.sizes) info.sizes.push_back(describe(size, program.symbols));
    } else {
      info.dtype = DType::i64;
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

std::string Program::torch_version() const { return impl_->program.torch_version; }

std::string Program::str() const { return ir::print(impl_->program); }

Program load_program(const std::string& path) { return Program(std::make_shared<const Program::Impl>(Program::Impl{import::load_pt2(path)})); }

}  // namespace reprise
