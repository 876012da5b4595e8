# Included by cri/CMakeLists.txt: the CRI's messages to the values of sandbox/ and back, and gRPC's codes.
add_library(fermata_cri_convert STATIC
  ${CMAKE_CURRENT_LIST_DIR}/convert.cc
  ${CMAKE_CURRENT_LIST_DIR}/convert_container.cc
  ${CMAKE_CURRENT_LIST_DIR}/convert_internal.cc
  ${CMAKE_CURRENT_LIST_DIR}/convert_sandbox.cc
  ${CMAKE_CURRENT_LIST_DIR}/convert_security.cc
  ${CMAKE_CURRENT_LIST_DIR}/convert_stats.cc
  ${CMAKE_CURRENT_LIST_DIR}/convert_status.cc
  ${CMAKE_CURRENT_LIST_DIR}/status.cc)
target_link_libraries(fermata_cri_convert PUBLIC fermata_cri_api fermata_spec_checks fermata_cgroups fermata_overlay fermata_stats)
# Old clients still send the fields that the interface calls deprecated.
target_compile_options(fermata_cri_convert PRIVATE -Wno-deprecated-declarations)
