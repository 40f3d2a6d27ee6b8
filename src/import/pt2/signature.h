// The signature of a program: which graph inputs are weights, which results are state.
#pragma once

#include "base/json.h"
#include "import/pt2/torch_save.h"
#include "ir/aten.h"

namespace reprise::import {

/// Fills `inputs` and `outputs` from `graph_module.signature`; `program.graph` is there already. Throws FormatError when they do not match the graph,
/// UnsupportedOp for custom objects and tokens.
void read_signature(const base::JsonValue& signature, ir::Program& program);

/// Fills `call` and gives user inputs and constants their names.
void read_call_spec(const base::JsonValue& graph_module, ir::Program& program);

/// Fills `sample_inputs`, or leaves them empty when the file's nest differently.
void read_sample_inputs(const TorchSave& file, const base::JsonValue& graph_module, ir::Program& program);

}  // namespace reprise::import
