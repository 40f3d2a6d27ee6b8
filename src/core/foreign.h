// Attributes of a foreign op, which compilers write and kernels read.
//
// `name`: the kernel's. "in.<parameter>" = {first operand, how many} for every tensor parameter; "arg.<parameter>" = its value for every other one, absent for
// None. `mutates` = the inputs that are written in place, which are its last outputs as well. `measures`: it is the function that finds out sizes.
#pragma once

namespace reprise::core {

inline constexpr const char* kForeignInput = "in.";
inline constexpr const char* kForeignArgument = "arg.";

}  // namespace reprise::core
