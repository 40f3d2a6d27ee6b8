// `.pt2` files of torch.export, all three container generations, to an ir::Program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ir/aten.h"

namespace reprise::import {

/// What a hostile file may make us spend; larger claims are refused with a FormatError that names the limit.
struct Limits {
  std::size_t max_model_json_bytes = std::size_t{1} << 30;
  std::size_t max_records = 1u << 20;
  std::size_t max_nodes = 4u << 20;
  int max_nesting = 256;  // JSON, subgraphs, sympy expressions, pickled tuples
  std::size_t max_inflated_bytes = std::size_t{64} << 30;
  bool check_crc = true;  // of JSON, pickles and records up to 1 MiB; larger weights are not read through
};

/// Reads `path` (memory mapped; weights stay mapped wherever they are aligned). Throws FormatError naming file and record, and UnsupportedOp for what the graph
/// cannot hold (complex and 8-bit floating-point tensors, custom objects); ops without a converter are found when the program is compiled. The Program keeps
/// the mapping alive.
ir::Program load_pt2(const std::string& path, const Limits& limits = {});

/// The same from memory that `owner` keeps alive.
ir::Program load_pt2(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name, const Limits& limits = {});

}  // namespace reprise::import
