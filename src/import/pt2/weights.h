// The weights, buffers and constants of a program, from all three generations of archives.
#pragma once

#include "import/pt2/records.h"
#include "ir/aten.h"

namespace reprise::import {

/// Fills `program.tensors` for every parameter, buffer and constant of the signature. Throws FormatError when one is missing, or differs from what the graph
/// says of it, or lies outside its record.
void read_weights(const Archive& archive, const Limits& limits, Storages& storages, ir::Program& program);

}  // namespace reprise::import
