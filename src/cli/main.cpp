#include <csignal>
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "trainer/cli/commands.h"
#include "trainer/core/team.h"

int main(int argc, char** argv) {
  trainer::make_unnamed_teams_serial();
#ifdef __GLIBC__
  // A large buffer goes back to the system when it is freed. Left alone, glibc would keep the memory of every
  // checkpoint: 16 bytes a parameter.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
  // What these signals tell comes back as an error of the write, which is handled where it is known what was
  // written.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return trainer::cli::run_program(argc, argv);
}
