// Nodes that only compute with symbolic scalars: sizes, arithmetic, comparisons.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "ir/aten.h"

namespace reprise::import {

/// True for targets without effect and without tensor results: `_operator.mul`, `math.ceil`, `torch.sym_max`, `aten.sym_size.int`, ….
bool is_symbolic(std::string_view target);

/// The value of such a node from its arguments; nullopt when the target or its arguments are of no known kind.
std::optional<sym::Expr> evaluate_symbolic(std::string_view target, std::span<const ir::NamedArg> args,
                                           const std::unordered_map<std::string, ir::TensorMeta>& tensors);

}  // namespace reprise::import
