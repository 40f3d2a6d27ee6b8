#include "reprise/runtime.h"
#include "runtime/module_impl.h"
#include "runtime/signature.h"

namespace reprise::runtime {

ModuleScope optimization_profile(const Module& module, int index) {
  const auto impl = module.impl();
  if (index != kAutoProfile) (void)check_profile(*impl->plan, index);
  const auto id = impl->modes.open_profile(index);
  return {module, [impl, id] { impl->modes.close_profile(id); }};
}

}  // namespace reprise::runtime
