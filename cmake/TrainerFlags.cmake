# One interface target with the flags that every file is compiled with, and a check that nobody adds flags that
# let the compiler change results: the program promises the same bits at any scale.
string(TOUPPER "${CMAKE_BUILD_TYPE}" _build_type)
foreach(_flags IN ITEMS "${CMAKE_CXX_FLAGS}" "${CMAKE_CXX_FLAGS_${_build_type}}")
  foreach(_bad IN ITEMS -ffast-math -Ofast -march=native -mtune=native -funsafe-math-optimizations -fassociative-math
                        -ffp-contract=fast)
    if(" ${_flags} " MATCHES " ${_bad} ")
      message(FATAL_ERROR "trainer: ${_bad} changes results between builds or machines and is refused; "
                          "remove it from CMAKE_CXX_FLAGS or CXXFLAGS")
    endif()
  endforeach()
endforeach()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

add_library(trainer_flags INTERFACE)
add_library(trainer::flags ALIAS trainer_flags)
target_compile_features(trainer_flags INTERFACE cxx_std_20)
target_include_directories(trainer_flags INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/include)
target_compile_options(trainer_flags INTERFACE -fno-math-errno -fno-trapping-math -ffp-contract=off
                       -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(trainer_flags INTERFACE -march=x86-64-v3)
endif()
# GCC 12 warns falsely of overlapping copies in std::string's operator+ (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(trainer_flags INTERFACE -Wno-restrict)
endif()
if(TRAINER_WARNINGS_AS_ERRORS)
  target_compile_options(trainer_flags INTERFACE -Werror)
endif()
if(TRAINER_SANITIZE)
  target_compile_options(trainer_flags INTERFACE -fsanitize=${TRAINER_SANITIZE} -fno-omit-frame-pointer -g
                         -fno-sanitize-recover=all)
  target_link_options(trainer_flags INTERFACE -fsanitize=${TRAINER_SANITIZE})
endif()
