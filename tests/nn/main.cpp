// Main function of this room's tests: as in the program, the first statement makes oneDNN's own regions
// serial.
#include <gtest/gtest.h>

#include "trainer/core/team.h"

int main(int argc, char** argv) {
  trainer::make_unnamed_teams_serial();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
