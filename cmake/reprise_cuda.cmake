# The CUDA half: libreprise_cuda.so, opened by the runtime library when a GPU is asked for. Nothing else needs CUDA to build or to run.
#
# REPRISE_CUDA=AUTO builds it where nvcc and the headers are found, ON insists, OFF leaves it out. NVIDIA's libraries are opened at run time and not linked;
# REPRISE_CUDA_WHEELS is where scripts/setup_cuda.sh puts those that PyPI has.
set(REPRISE_CUDA AUTO CACHE STRING "The CUDA half: AUTO, ON or OFF")
set(REPRISE_CUDA_ARCHS "80;86;89;90a;100;120" CACHE STRING "GPU architectures that precompiled kernels are built for")
set(REPRISE_CUDA_WHEELS "$ENV{REPRISE_CUDA_WHEELS}" CACHE PATH "Folder of NVIDIA's wheels")
if(NOT REPRISE_CUDA_WHEELS)
  set(REPRISE_CUDA_WHEELS ${PROJECT_SOURCE_DIR}/.cuda)
endif()

set(REPRISE_CUDA_FOUND OFF)
if(NOT REPRISE_CUDA)
  message(STATUS "CUDA half: left out (REPRISE_CUDA=OFF)")
  return()
endif()
find_program(REPRISE_NVCC nvcc HINTS /usr/local/cuda/bin $ENV{CUDA_HOME}/bin)
if(REPRISE_NVCC)
  file(REAL_PATH ${REPRISE_NVCC} nvcc_path)
  cmake_path(GET nvcc_path PARENT_PATH nvcc_folder)
endif()
find_path(REPRISE_CUDA_INCLUDE cuda.h HINTS ${nvcc_folder}/../include /usr/local/cuda/include)
if(NOT REPRISE_NVCC OR NOT REPRISE_CUDA_INCLUDE)
  if(REPRISE_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA half: left out (nvcc: ${REPRISE_NVCC}, cuda.h: ${REPRISE_CUDA_INCLUDE})")
    return()
  endif()
  message(FATAL_ERROR "REPRISE_CUDA=ON, but CUDA was not found (nvcc: ${REPRISE_NVCC}, cuda.h: ${REPRISE_CUDA_INCLUDE})")
endif()
find_path(REPRISE_CUBLASLT_INCLUDE cublasLt.h HINTS ${REPRISE_CUDA_WHEELS}/nvidia/cu13/include ${REPRISE_CUDA_INCLUDE})
find_path(REPRISE_CUDNN_INCLUDE cudnn_graph.h HINTS ${REPRISE_CUDA_WHEELS}/nvidia/cudnn/include ${REPRISE_CUDA_INCLUDE})
if(NOT REPRISE_CUBLASLT_INCLUDE OR NOT REPRISE_CUDNN_INCLUDE)
  set(missing "headers of cuBLASLt (${REPRISE_CUBLASLT_INCLUDE}) or cuDNN 9 (${REPRISE_CUDNN_INCLUDE}) were not found: scripts/setup_cuda.sh brings them")
  if(REPRISE_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA half: left out, ${missing}")
    return()
  endif()
  message(FATAL_ERROR "REPRISE_CUDA=ON, but ${missing}")
endif()
set(REPRISE_CUDA_FOUND ON)
message(STATUS "CUDA half: ${REPRISE_NVCC}, architectures ${REPRISE_CUDA_ARCHS}, wheels ${REPRISE_CUDA_WHEELS}")

file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS src/device/cuda/*.cpp src/kernels/cuda/*.cpp)
file(GLOB_RECURSE cuda_device_sources CONFIGURE_DEPENDS src/device/cuda/*.cu src/kernels/cuda/*.cu)
if(cuda_device_sources)
  set(CMAKE_CUDA_COMPILER ${REPRISE_NVCC})
  set(CMAKE_CUDA_ARCHITECTURES ${REPRISE_CUDA_ARCHS})
  list(TRANSFORM CMAKE_CUDA_ARCHITECTURES APPEND -real)
  set(CMAKE_CUDA_STANDARD 17)  # the newest that CMake 3.25 knows
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  enable_language(CUDA)
endif()

# The texts of kernels become arrays of the library.
file(GLOB cuda_texts CONFIGURE_DEPENDS src/kernels/cuda/text/*.cuh)
set(embedded ${PROJECT_BINARY_DIR}/cuda_texts.cpp)
add_custom_command(OUTPUT ${embedded} COMMAND ${CMAKE_COMMAND} -DOUTPUT=${embedded} "-DTEXTS=${cuda_texts}" -P ${PROJECT_SOURCE_DIR}/cmake/embed_texts.cmake
                   DEPENDS ${cuda_texts} ${PROJECT_SOURCE_DIR}/cmake/embed_texts.cmake VERBATIM)

# The objects by themselves, so that tests see what the library hides.
add_library(reprise_cuda_objects OBJECT ${cuda_sources} ${cuda_device_sources} ${embedded})
target_compile_features(reprise_cuda_objects PUBLIC cxx_std_20)
target_include_directories(reprise_cuda_objects PUBLIC ${PROJECT_SOURCE_DIR}/src)
target_include_directories(reprise_cuda_objects SYSTEM PUBLIC ${REPRISE_CUDA_INCLUDE} ${REPRISE_CUBLASLT_INCLUDE} ${REPRISE_CUDNN_INCLUDE}
                                                              ${REPRISE_CUDA_WHEELS}/nvidia/cu13/include)
target_compile_options(reprise_cuda_objects PRIVATE $<$<COMPILE_LANGUAGE:CXX>:$<TARGET_PROPERTY:reprise_flags,INTERFACE_COMPILE_OPTIONS>>)
target_link_libraries(reprise_cuda_objects PUBLIC reprise::runtime fmt::fmt Threads::Threads ${CMAKE_DL_LIBS})

add_library(reprise_cuda MODULE $<TARGET_OBJECTS:reprise_cuda_objects>)
target_link_libraries(reprise_cuda PRIVATE reprise::runtime fmt::fmt Threads::Threads ${CMAKE_DL_LIBS})
# A static runtime library is inside as well: its names stay inside. The two copies meet in interfaces and exceptions only.
target_link_options(reprise_cuda PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/reprise_cuda.map -Wl,-Bsymbolic -Wl,--gc-sections -Wl,--no-undefined)
set_target_properties(
  reprise_cuda
  PROPERTIES OUTPUT_NAME reprise_cuda
             LINKER_LANGUAGE CXX
             LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
             LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/reprise_cuda.map
             BUILD_RPATH "${REPRISE_CUDA_WHEELS}/nvidia/cu13/lib;${REPRISE_CUDA_WHEELS}/nvidia/cudnn/lib"
             INSTALL_RPATH "\$ORIGIN")
