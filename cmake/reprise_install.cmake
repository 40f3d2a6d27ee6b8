# Installation: headers, both libraries, the command line and a CMake package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS reprise_runtime reprise_compiler EXPORT reprise_targets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/reprise DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS reprise_cli)
if(REPRISE_CUDA_FOUND)
  install(TARGETS reprise_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(EXPORT reprise_targets NAMESPACE reprise:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reprise)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/reprise-config.cmake.in ${PROJECT_BINARY_DIR}/reprise-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reprise)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/reprise-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/reprise-config.cmake ${PROJECT_BINARY_DIR}/reprise-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reprise)
