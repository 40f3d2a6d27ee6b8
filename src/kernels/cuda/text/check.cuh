// A condition on the data: tells the host when it does not hold.
#include "prelude.cuh"

extern "C" __global__ void check(const bool* holds, u64_t* fault) {
  wait_for_earlier_kernels();
  if (!*holds) *fault = 1;
}
