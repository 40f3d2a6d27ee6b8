// Programs: what `torch.export.save` wrote. Part of the compiler library.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reprise/dtype.h"
#include "reprise/tensor.h"

namespace reprise {

/// A dimension: a constant, or a symbol with its exported range.
struct Dim {
  std::string expression;                   // "3", "s77", "2*s0"
  std::int64_t min = 0, max = 0, hint = 0;  // equal for constants; max is INT64_MAX when unbounded; hint: the size at export
};

struct ProgramInputInfo {
  std::string name;  // as the Python forward names it; nested ones joined by dots ("extra.bias.0")
  DType dtype = DType::f32;
  std::vector<Dim> sizes;
  bool constant = false;  // a Python value fixed at export
};

/// An imported program. Immutable, cheap to copy, thread safe.
class Program {
 public:
  struct Impl;
  explicit Program(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  [[nodiscard]] const Impl& impl() const { return *impl_; }

  /// Flattened user inputs.
  [[nodiscard]] std::vector<ProgramInputInfo> inputs() const;
  [[nodiscard]] std::string torch_version() const;
  /// The ATen graph, a line a node.
  [[nodiscard]] std::string str() const;

 private:
  std::shared_ptr<const Impl> impl_;
};

/// Loads a `.pt2` (all three container generations; torch 2.6 and later). Weights stay mapped from the file, which must not change while the program or a
/// module made from it lives. Throws FormatError.
Program load_program(const std::string& path);

}  // namespace reprise
