#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "trainer/report/progress.h"

namespace trainer::report {
namespace {

constexpr std::array<std::string_view, 8> kLaunchers = {
    "mpirun", "mpiexec", "orterun", "prterun", "prun", "mpiexec.hydra", "srun", "hydra_pmi_proxy"};
constexpr std::array<const char*, 4> kLauncherVariables = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                                           "SLURM_PROCID"};

struct Process {
  std::string name;
  int parent = 0;
};

/// Name and parent of a process; parent 0 when there is no such process.
Process process(int id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/stat");
  std::string line;
  std::getline(file, line);
  // "id (name) state parent ...", where the name may hold spaces and brackets
  const std::size_t open = line.find('(');
  const std::size_t close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 4 >= line.size()) return {};
  return {line.substr(open + 1, close - open - 1), std::atoi(line.c_str() + close + 4)};
}

/// The nearest ancestor that is an MPI launcher, or 0.
int launcher_process() {
  int id = ::getppid();
  for (int depth = 0; depth < 64 && id > 1; ++depth) {
    const Process ancestor = process(id);
    if (std::find(kLaunchers.begin(), kLaunchers.end(), ancestor.name) != kLaunchers.end()) return id;
    id = ancestor.parent;
  }
  return 0;
}

bool has_launcher() {
  return std::any_of(kLauncherVariables.begin(), kLauncherVariables.end(),
                     [](const char* name) { return std::getenv(name) != nullptr; });
}

Terminal terminal_behind(int file) {
  Terminal terminal;
  if (::isatty(file) == 0) return terminal;
  const char* kind = std::getenv("TERM");
  if (kind != nullptr && std::string_view(kind) == "dumb") return terminal;  // cannot redraw a line
  terminal.is_terminal = true;
  winsize size{};
  if (::ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.columns = size.ws_col;
  return terminal;
}

/// Only a device under /dev is opened: to open another process's pipe would disturb it.
bool is_terminal_device(const std::string& link) {
  std::array<char, 256> target{};
  const ssize_t length = ::readlink(link.c_str(), target.data(), target.size() - 1);
  const std::string_view name(target.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return name.starts_with("/dev/pts/") || name.starts_with("/dev/tty") || name == "/dev/console";
}

}  // namespace

Terminal find_terminal() {
  const int launcher = launcher_process();
  if (launcher == 0) return has_launcher() ? Terminal{} : terminal_behind(STDOUT_FILENO);
  const std::string link = "/proc/" + std::to_string(launcher) + "/fd/1";
  if (!is_terminal_device(link)) return {};
  const int file = ::open(link.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return {};
  const Terminal terminal = terminal_behind(file);
  ::close(file);
  return terminal;
}

}  // namespace trainer::report
