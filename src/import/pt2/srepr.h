// Symbolic expressions as PyTorch writes them: sympy's `srepr` text, e.g. Mul(Integer(2), Symbol('s77', positive=True, integer=True)).
#pragma once

#include <cstdint>
#include <string_view>

#include "sym/expr.h"

namespace reprise::import {

/// What the place of the text calls for; a quotient such as s0/2 becomes an exact integer division or a real one accordingly.
enum class SymKind : std::uint8_t { integer, real, boolean };

/// Throws FormatError that quotes the text's beginning: on a syntax error, an unknown function or constant, an integer beyond 64 bits, more than
/// `max_depth` nested calls, or more than 64 KiB.
sym::Expr parse_srepr(std::string_view text, SymKind kind, int max_depth);

}  // namespace reprise::import
