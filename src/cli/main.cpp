#include <csignal>

#include "trainer/cli/commands.h"
#include "trainer/core/team.h"

int main(int argc, char** argv) {
  trainer::make_unnamed_teams_serial();
  // What these signals tell comes back as an error of the write, which is handled where it is known what was
  // written.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return trainer::cli::run_program(argc, argv);
}
