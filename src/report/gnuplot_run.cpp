#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <thread>

#include "file_system.h"
#include "gnuplot.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

constexpr std::chrono::seconds kLongest{60};  // of a picture: far below the watchdog's limit
constexpr const char* kInstall =
    "gnuplot is not installed; install it (Debian, Ubuntu: apt-get install gnuplot-nox; on a cluster often: "
    "module load gnuplot) and make the report again";

/// Where the child stands and what it reads and writes.
class Surroundings {
 public:
  Surroundings(const std::string& folder, const std::string& messages) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str());
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, messages.c_str(), O_WRONLY | O_CREAT, 0666);
    posix_spawnattr_init(&attributes_);
    sigset_t all{};
    sigfillset(&all);  // this program ignores some signals
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF);
  }
  ~Surroundings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  Surroundings(const Surroundings&) = delete;
  Surroundings& operator=(const Surroundings&) = delete;
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

void end(pid_t process) {
  ::kill(process, SIGKILL);
  ::waitpid(process, nullptr, 0);
}

/// What was wrong with its end; empty: nothing. `messages`: the file that it prints into.
std::string wait_for(pid_t process, const std::string& messages, const std::function<void()>& poll) {
  using Clock = std::chrono::steady_clock;
  auto last = Clock::now();
  std::uintmax_t printed = 0;
  int status = 0;
  pid_t gone = 0;
  while ((gone = ::waitpid(process, &status, WNOHANG)) == 0 || (gone < 0 && errno == EINTR)) {
    std::error_code ignored;
    if (const std::uintmax_t now = std::filesystem::file_size(messages, ignored); now != printed) {
      printed = now;
      last = Clock::now();
    }
    if (Clock::now() - last > kLongest) {
      end(process);
      return text("gnuplot was ended: a picture took longer than ", kLongest.count(), " s");
    }
    try {
      if (poll) poll();
    } catch (...) {
      end(process);
      throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (gone < 0) return text("gnuplot is lost: ", std::strerror(errno));
  if (WIFSIGNALED(status)) return text("gnuplot was ended by signal ", WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : text("gnuplot failed with code ", WEXITSTATUS(status));
}

}  // namespace

GnuplotRun run_gnuplot(const std::string& folder, const std::string& script,
                       const std::function<void()>& poll) {
  const std::string messages = "messages";
  std::string program = "gnuplot", plain = "-d", file = script;  // -d: no start-up file
  char* const words[] = {program.data(), plain.data(), file.data(), nullptr};
  const Surroundings surroundings(folder, messages);
  pid_t process = 0;
  const int error =
      ::posix_spawnp(&process, "gnuplot", surroundings.actions(), surroundings.attributes(), words, environ);
  if (error == ENOENT) return {{}, kInstall};
  if (error != 0) return {{}, text("gnuplot could not be started: ", std::strerror(error))};
  GnuplotRun run;
  run.trouble = wait_for(process, folder + "/" + messages, poll);
  std::istringstream lines(read_whole_file(folder + "/" + messages));
  for (std::string line; std::getline(lines, line);) run.printed.push_back(line);
  return run;
}

}  // namespace trainer::report
