// Layouts that libraries have kernels for.
#pragma once

#include "kernels/kernel.h"

namespace reprise::kernels {

/// x[N, C, *S] is dense and row-major, or (`channels_last`) dense with the channels innermost.
bool is_packed(const OperandRef& x, bool channels_last);

}  // namespace reprise::kernels
