// What would run where, and why, without compiling. Part of the compiler library.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "reprise/compile.h"
#include "reprise/dtype.h"
#include "reprise/program.h"

namespace reprise {

/// How a program is partitioned under some options. Arithmetic on symbolic sizes costs nothing at run time and is not counted among the ops.
struct DryRun {
  struct Tensor {
    std::string name;
    DType dtype = DType::f32;
    std::vector<std::string> sizes;  // expressions: "3", "s77"
  };
  struct Segment {
    bool engine = true;
    std::string reason;                               // of a fallback segment
    int ops = 0;                                      // nodes
    std::vector<std::pair<std::string, int>> counts;  // by op, most frequent first
    std::vector<Tensor> inputs, outputs;              // what crosses its borders, weights left out
  };
  struct Fallback {
    std::string op, node, reason, source;  // source: the Python line, where the program has it
  };

  int ops = 0, engine_ops = 0;
  std::vector<Segment> segments;  // in the order in which they run
  std::vector<Fallback> fallbacks;
  std::vector<std::string> advice;

  /// Share of the ops that run in engines, 0 to 1; 1 for a program without ops.
  [[nodiscard]] double coverage() const;
  /// For people.
  [[nodiscard]] std::string str() const;
  [[nodiscard]] std::string json() const;
};

/// Only `fallback_ops` and `min_block_size` of the options matter; ops without a converter and breaks of `require_full_compilation` are reported, not thrown.
/// Throws InvalidArgument for options that `compile` refuses.
DryRun dryrun(const Program& program, const CompileOptions& options = {});

}  // namespace reprise
