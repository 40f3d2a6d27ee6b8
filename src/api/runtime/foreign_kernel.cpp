#include "reprise/foreign_kernel.h"

#include "base/check.h"
#include "kernels/foreign.h"

namespace reprise {

void register_foreign_kernel(ForeignKernel kernel) { kernels::ForeignKernels::register_process_wide(std::move(kernel)); }
bool unregister_foreign_kernel(std::string_view name) { return kernels::ForeignKernels::unregister_process_wide(name); }

}  // namespace reprise
