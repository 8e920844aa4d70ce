#include "trainer/cli/commands.h"
#include "trainer/core/team.h"

int main(int argc, char** argv) {
  trainer::make_unnamed_teams_serial();
  return trainer::cli::run_program(argc, argv);
}
