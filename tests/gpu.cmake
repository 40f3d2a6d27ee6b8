# Tests that need a GPU: programs of this folder, run once more on one. Without a GPU they say so and count as skipped.
function(reprise_gpu_test name)
  add_test(NAME cuda/${name} COMMAND ${CMAKE_COMMAND} -E env REPRISE_TEST_DEVICE=cuda:0 GTEST_BRIEF=1 ${ARGN})
  set_tests_properties(cuda/${name} PROPERTIES SKIP_REGULAR_EXPRESSION "no CUDA GPU")
endfunction()

if(REPRISE_CUDA_FOUND)
  reprise_test(cuda reprise_cuda_objects)
  reprise_gpu_test(conformance $<TARGET_FILE:test_conformance>)
  reprise_gpu_test(kernels $<TARGET_FILE:test_kernels>)
  reprise_gpu_test(runtime $<TARGET_FILE:test_runtime> --gtest_filter=Modes/*)
  reprise_gpu_test(samples $<TARGET_FILE:test_samples>)
endif()
