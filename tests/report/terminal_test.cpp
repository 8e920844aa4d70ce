#include <gtest/gtest.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trainer/report/progress.h"

namespace trainer::report {
namespace {

/// What find_terminal() says in a process: the columns when there is a terminal, 0 when there is none.
int answer() {
  const Terminal terminal = find_terminal();
  return terminal.is_terminal ? terminal.columns : 0;
}

/// Forks; the child runs `body` and its result becomes the exit code, which is returned.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int state = 0;
  ::waitpid(child, &state, 0);
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

class Pty {
 public:
  explicit Pty(unsigned short columns) {
    winsize size{};
    size.ws_col = columns;
    size.ws_row = 24;
    EXPECT_EQ(::openpty(&controller_, &terminal_, nullptr, nullptr, columns > 0 ? &size : nullptr), 0);
  }
  ~Pty() {
    ::close(controller_);
    ::close(terminal_);
  }
  Pty(const Pty&) = delete;
  Pty& operator=(const Pty&) = delete;
  int terminal() const { return terminal_; }

 private:
  int controller_ = -1;
  int terminal_ = -1;
};

void forget_launcher() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) ::unsetenv(name);
  ::setenv("TERM", "xterm", 1);
}

/// A process called `launcher` whose standard output is `launcher_output` starts a rank with standard output
/// `rank_output`.
int under_launcher(const char* launcher, int launcher_output, int rank_output) {
  return in_child([&] {
    forget_launcher();
    ::prctl(PR_SET_NAME, launcher);
    ::dup2(launcher_output, STDOUT_FILENO);
    return in_child([&] {
      ::prctl(PR_SET_NAME, "trainer");
      ::setenv("OMPI_COMM_WORLD_RANK", "0", 1);
      ::dup2(rank_output, STDOUT_FILENO);
      return in_child([] { return answer(); });  // a wrapper script between changes nothing
    });
  });
}

TEST(Terminal, WithoutALauncherItIsTheProcesssOwn) {
  const Pty pty(100);
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const auto ask = [](int output) {
    return in_child([&] {
      forget_launcher();
      ::dup2(output, STDOUT_FILENO);
      return answer();
    });
  };
  EXPECT_EQ(ask(pty.terminal()), 100);
  EXPECT_EQ(ask(pipe_ends[1]), 0);
  EXPECT_EQ(ask(Pty(0).terminal()), 80);  // a terminal of unknown width
}

TEST(Terminal, UnderALauncherItIsTheLaunchersOutputThatCounts) {
  const Pty person(120);
  const Pty made_by_launcher(0);
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  for (const char* launcher : {"mpirun", "orterun", "prterun", "mpiexec", "srun"}) {
    EXPECT_EQ(under_launcher(launcher, person.terminal(), made_by_launcher.terminal()), 120) << launcher;
    EXPECT_EQ(under_launcher(launcher, pipe_ends[1], made_by_launcher.terminal()), 0) << launcher;
  }
}

TEST(Terminal, UnderALauncherElsewhereThereIsNone) {
  const Pty pty(100);
  EXPECT_EQ(under_launcher("orted", pty.terminal(), pty.terminal()), 0);
}

TEST(Terminal, ADumbTerminalGetsLines) {
  const Pty pty(100);
  EXPECT_EQ(in_child([&] {
              forget_launcher();
              ::setenv("TERM", "dumb", 1);
              ::dup2(pty.terminal(), STDOUT_FILENO);
              return answer();
            }),
            0);
}

}  // namespace
}  // namespace trainer::report
