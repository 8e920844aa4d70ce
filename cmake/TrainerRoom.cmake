# trainer_room(NAME SOURCES a.cpp ... [ROOMS core ...] [LIBRARIES zlib ...])
#   A static library trainer::NAME from src/NAME. ROOMS are rooms below it; LIBRARIES are third-party and stay private.
function(trainer_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_library(trainer_${name} STATIC ${ARG_SOURCES})
  add_library(trainer::${name} ALIAS trainer_${name})
  target_link_libraries(trainer_${name} PUBLIC trainer::flags PRIVATE ${ARG_LIBRARIES})
  foreach(room IN LISTS ARG_ROOMS)
    target_link_libraries(trainer_${name} PUBLIC trainer::${room})
  endforeach()
endfunction()

# The checks themselves need no speed, only what they check: half the time to compile.
set(TRAINER_TEST_OPTIONS $<$<CONFIG:Release>:-O1>)

# trainer_test(NAME SOURCES a_test.cpp ... ROOMS data ... [LIBRARIES ...])
#   One GoogleTest program, one CTest entry. No MPI inside.
function(trainer_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${TRAINER_TEST_OPTIONS})
  target_link_libraries(${name} PRIVATE trainer::flags ${ARG_LIBRARIES} GTest::gtest_main)
  foreach(room IN LISTS ARG_ROOMS)
    target_link_libraries(${name} PRIVATE trainer::${room})
  endforeach()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()

# trainer_mpi_test(NAME RANKS 1 2 3 SOURCES a_mpi_test.cpp ... ROOMS comm ...)
#   One GoogleTest program under mpirun, one CTest entry for each number of ranks: NAME.np3. Failures of all ranks count.
function(trainer_mpi_test name)
  cmake_parse_arguments(ARG "" "" "RANKS;SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/mpi_main.cpp)
  target_compile_options(${name} PRIVATE ${TRAINER_TEST_OPTIONS})
  target_link_libraries(${name} PRIVATE trainer::flags ${ARG_LIBRARIES} GTest::gtest MPI::MPI_C)
  foreach(room IN LISTS ARG_ROOMS)
    target_link_libraries(${name} PRIVATE trainer::${room})
  endforeach()
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${name}.np${ranks}
             COMMAND ${MPIEXEC_EXECUTABLE} --allow-run-as-root --oversubscribe --bind-to none -np ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.np${ranks} PROPERTIES TIMEOUT 600 PROCESSORS 2
                         ENVIRONMENT "OMPI_MCA_btl_vader_single_copy_mechanism=none;OMP_WAIT_POLICY=passive")
    if(ranks GREATER 2)
      set_tests_properties(${name}.np${ranks} PROPERTIES LABELS many-ranks)
    endif()
  endforeach()
endfunction()
