# Flags and target helpers shared by all folders.
include_guard()

add_library(reprise_flags INTERFACE)
target_compile_options(reprise_flags INTERFACE -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wnon-virtual-dtor
                                               -Wno-unknown-pragmas  # omp with OpenMP off, GCC ivdep in clang
                                               $<$<BOOL:${REPRISE_WERROR}>:-Werror>)
# GCC 12 sees overlapping copies in std::string's own code when it optimizes (its bug 105651).
target_compile_options(reprise_flags INTERFACE $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict>)
# A floating-point result must not depend on which variant of a function the compiler contracted.
target_compile_options(reprise_flags INTERFACE -ffp-contract=off)
if(REPRISE_SANITIZE)
  target_compile_options(reprise_flags INTERFACE -fsanitize=${REPRISE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(reprise_flags INTERFACE -fsanitize=${REPRISE_SANITIZE})
endif()

# reprise_library(<name> FOLDERS <folder under src>… [LINK <target>…]): target reprise_<name>, alias reprise::<name>.
function(reprise_library name)
  cmake_parse_arguments(ARG "" "" "FOLDERS;LINK" ${ARGN})
  set(sources)
  foreach(folder IN LISTS ARG_FOLDERS)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
    list(FILTER found EXCLUDE REGEX "/src/(device|kernels)/cuda/")  # a library of its own
    if(REPRISE_ONEDNN AND REPRISE_ONEDNN_INCLUDE)
      list(FILTER found EXCLUDE REGEX "/src/kernels/cpu/without_onednn/")
    else()
      list(FILTER found EXCLUDE REGEX "/src/kernels/cpu/onednn/")
    endif()
    list(APPEND sources ${found})
  endforeach()
  set(target reprise_${name})
  add_library(${target} ${sources})
  add_library(reprise::${name} ALIAS ${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${target} PRIVATE REPRISE_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${target} PUBLIC ${ARG_LINK} PRIVATE $<BUILD_INTERFACE:reprise_flags> fmt::fmt simdjson::simdjson ZLIB::ZLIB Threads::Threads
                                  ${CMAKE_DL_LIBS})
  if(REPRISE_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  if(REPRISE_OPENMP)
    target_link_libraries(${target} PRIVATE OpenMP::OpenMP_CXX)
  endif()
  if(REPRISE_ONEDNN AND REPRISE_ONEDNN_INCLUDE)
    target_include_directories(${target} SYSTEM PRIVATE ${REPRISE_ONEDNN_INCLUDE})
    target_link_libraries(${target} PRIVATE dnnl)
  endif()
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
endfunction()

# Our own programs and tests see src/ as well as the public headers.
function(reprise_executable target)
  add_executable(${target} ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE reprise_flags fmt::fmt simdjson::simdjson ZLIB::ZLIB Threads::Threads)
endfunction()
