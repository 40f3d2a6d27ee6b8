// Chosen elements in their order (text/select.cuh).
#pragma once

#include "kernels/cuda/row_sort.h"

namespace reprise::kernels::cuda {

class Selection {
 public:
  /// `flag` says which of `count` elements are chosen, `sink` takes them; both of text/<text>.
  Selection(Gpu& gpu, Scratch& scratch, const char* text, TextObject flag, TextObject sink, std::int64_t count);
  /// `size`: how many were chosen, an i64.
  void describe(Operations& operations, int slot, const std::function<void(Arguments&, int slot)>& size) const;

 private:
  TextObject flag_, sink_;
  std::int64_t count_, chunks_;
  Scratch::Part totals_;
  TextKernel count_chosen_, sum_, put_;
};

}  // namespace reprise::kernels::cuda
