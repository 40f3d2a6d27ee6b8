// The kernels that can run a matmul or conv on the CPU, by name: what the tuner measures and what a stored choice names.
//
//   gemm_amx, gemm_avx512_bf16, gemm_avx512, gemm_avx2
//                                      our own products (gemm/gemm.h, conv/conv.h); with ":256k" their rows in blocks of so many bytes
//   winograd                           3x3 windows by minimal filtering; with ":2" or ":4" by tiles of that side
//   depthwise                          one channel a group
//   onednn                             a library, and with ":add" or ":sum" its other way to add
//   reference                          the plain kernel
//
// A name without a variant is that kernel as it is likely the best.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/library.h"
#include "kernels/cpu/weights.h"

namespace reprise::kernels::cpu {

struct MadeStep {
  StepPtr step;                      // null: there is none
  std::vector<std::string> kernels;  // what it is made of, the contraction's name first
};

/// Thread safe. Steps share packed weights, which live as long as any of them, and may outlive it.
class Contractions {
 public:
  /// By fixed rules: what is likely the fastest.
  MadeStep make(const StepSpec& spec);
  /// The kernel of that name. No step: it does not take these operands, `active_isa` forbids it, or this build lacks it.
  MadeStep make(const StepSpec& spec, std::string_view name);
  /// Names worth measuring beside that of the fixed rules, which may be among them; those that do not take the operands may be, too. Without weights that stay:
  /// none.
  [[nodiscard]] std::vector<std::string> names(const StepSpec& spec, bool variants) const;
  /// Of what is linked: part of what measured times depend on.
  [[nodiscard]] std::string version() const;

  [[nodiscard]] Library* library() { return library_.get(); }

 private:
  MadeStep make_fused(const Contraction& contraction);
  MadeStep make_fused(const Contraction& contraction, std::string_view name);
  MadeStep make_conv(const Contraction& conv);
  MadeStep ask_library(const Contraction& contraction);

  WeightCache weights_;
  std::unique_ptr<Library> library_ = open_library();
};

}  // namespace reprise::kernels::cpu
