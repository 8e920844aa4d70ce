#include "trainer/report/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <optional>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "file_system.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::report {
namespace {

namespace fs = std::filesystem;

const char* const kLockName = ".lock";

/// What a run writes before its first checkpoint: a folder that holds nothing else may be begun anew.
const std::vector<std::string> kEarlyFiles = {kLockName,     "config.ini",  "environment.txt", "status",
                                              "log.txt",     "metrics.csv", "timing.csv",      "steps.csv",
                                              "checkpoints", "report.html", "figures"};

/// `text` as a part of a file name.
std::string as_file_name(const std::string& data_name) {
  std::string name = fs::path(data_name).filename().string();
  if (name.empty()) name = fs::path(data_name).parent_path().filename().string();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_' && c != '-') c = '-';
  }
  name.resize(std::min<std::size_t>(name.size(), 64));
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  while (!name.empty() && (name.front() == '-' || name.front() == '.')) name.erase(name.begin());
  return name.empty() ? "data" : name;
}

std::string date_and_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d-%H%M%S", &local);
  return text.data();
}

/// A new folder runs/<data>-<date>-<time>; a number is added when another job took the name in the same
/// second.
std::string make_default_folder(const std::string& data_name) {
  std::error_code error;
  fs::create_directories("runs", error);
  require(!error, ErrorKind::data, "cannot make the folder runs: ", error.message(),
          "; choose another place with --out");
  const std::string base = "runs/" + as_file_name(data_name) + "-" + date_and_time();
  for (int number = 1; number < 1000; ++number) {
    const std::string path = number == 1 ? base : base + "-" + std::to_string(number);
    if (fs::create_directory(path, error)) return path;
    require(!error, ErrorKind::data, "cannot make the run folder ", path, ": ", error.message(),
            "; choose another place with --out");
  }
  fail(ErrorKind::data, "no free name for a run folder like ", base, "; choose one with --out");
}

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool is_early_file(const std::string& name) {
  return std::any_of(kEarlyFiles.begin(), kEarlyFiles.end(), [&](const std::string& early) {
    return name == early || (name.starts_with(early + ".") && name.ends_with(".new"));
  });
}

/// Whether a folder `checkpoints` holds nothing but half-written files of a start that died.
bool holds_only_leftovers(const fs::path& checkpoints) {
  std::error_code error;
  fs::directory_iterator entry(checkpoints, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error))
    if (!entry->path().filename().string().starts_with(".tmp-step-")) return false;
  return true;
}

/// Throws unless the folder may become a run's: it is empty, or holds nothing but what a start of ours (it
/// made the lock) left behind before its first checkpoint.
void require_free(const std::string& path) {
  require(!RunFolder::holds_run(path) && !fs::exists(path + "/best.h5"), ErrorKind::usage, "the run folder ",
          path, " holds a run already and a run is never overwritten; continue it with `trainer resume ",
          path, "` or choose another folder with --out");
  std::error_code error;
  fs::directory_iterator entry(path, error);
  require(!error, ErrorKind::data, "cannot read the folder ", path, ": ", error.message());
  for (const fs::directory_iterator end; entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool ours = fs::exists(path + "/" + kLockName, error) && is_early_file(name) &&
                      (name != "checkpoints" || holds_only_leftovers(entry->path()));
    require(ours, ErrorKind::usage, "the run folder ", path, " is not empty: it holds ", name,
            "; choose a new folder with --out");
  }
}

/// What a dead start left behind would be mistaken for this run's own.
void remove_leftovers(const std::string& path) {
  std::error_code ignored;
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, ignored)) {
    if (entry.path().filename() != kLockName) leftovers.push_back(entry.path());
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover, ignored);
}

/// Tries for a while: the processes of a launcher that was killed outlive it by a second.
bool take_lock(int handle) {
  constexpr std::chrono::milliseconds kPause{100};
  constexpr int kTries = 50;
  for (int i = 0; i < kTries; ++i) {
    if (::flock(handle, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) return false;
    std::this_thread::sleep_for(kPause);
  }
  errno = EWOULDBLOCK;
  return false;
}

/// An open file that carries this process's lock on the run, or -1 where the file system knows no locks.
int lock_run(const std::string& path) {
  const std::string name = path + "/" + kLockName;
  const int handle = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  require(handle >= 0, ErrorKind::data, with_reason("cannot write into the run folder " + path));
  if (take_lock(handle)) {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    const std::string owner = text("host ", host.data(), ", process ", ::getpid(), "\n");
    if (::ftruncate(handle, 0) == 0) {
      [[maybe_unused]] const ssize_t written =
          ::write(handle, owner.data(), owner.size());  // for people only
    }
    return handle;
  }
  const int reason = errno;
  std::array<char, 320> owner{};
  const ssize_t got = ::read(handle, owner.data(), owner.size() - 1);
  ::close(handle);
  if (reason != EWOULDBLOCK) return -1;
  std::string who(owner.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!who.empty() && who.back() == '\n') who.pop_back();
  fail(ErrorKind::usage, "the run folder ", path, " is in use by another job",
       who.empty() ? "" : " (" + who + ")", "; wait for its end, or choose another folder with --out");
}

/// runs/latest points to the newest run that stands beside it. Replaced in one go, so that it is never
/// missing.
void point_latest_to(const std::string& path) {
  std::error_code error;
  const fs::path run = fs::canonical(path, error);
  if (error || run.parent_path() != fs::current_path(error) / "runs" || error) return;
  if (fs::exists(fs::symlink_status("runs/latest", error)) && !fs::is_symlink("runs/latest", error)) return;
  const std::string beside = "runs/.latest-" + std::to_string(::getpid());
  fs::remove(beside, error);
  fs::create_symlink(run.filename(), beside, error);
  if (!error) fs::rename(beside, "runs/latest", error);
  if (error) fs::remove(beside, error);  // a convenience: no reason to stop a run
}

const std::vector<std::pair<RunState, std::string>> kStateNames = {{RunState::running, "running"},
                                                                   {RunState::finished, "finished"},
                                                                   {RunState::stopped, "stopped"},
                                                                   {RunState::failed, "failed"}};

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

}  // namespace

std::string status_line(const RunStatus& status) {
  std::string name;
  for (const auto& [state, state_name] : kStateNames) {
    if (state == status.state) name = state_name;
  }
  std::string line = text(name, " exit=", status.exit_code, " step=", status.step);
  if (!status.checkpoint.empty()) line += " checkpoint=" + status.checkpoint;
  if (!status.reason.empty()) line += " reason=" + one_line(status.reason);
  return line;
}

RunStatus parse_status_line(const std::string& line) {
  RunStatus status;
  std::istringstream words(line);
  std::string word;
  words >> word;
  bool known = false;
  for (const auto& [state, name] : kStateNames) {
    if (name == word) {
      status.state = state;
      known = true;
    }
  }
  require(known, ErrorKind::data, "no status line: \"", line, "\"");
  while (words >> word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (name == "reason") {
      std::string rest;
      std::getline(words, rest);
      status.reason = value + rest;
    } else if (name == "checkpoint") {
      status.checkpoint = value;
    } else if (name == "exit" || name == "step") {
      const std::optional<std::int64_t> number = parse_integer(value);
      require(number.has_value(), ErrorKind::data, "no status line: \"", line, "\"");
      if (name == "step") status.step = *number;
      if (name == "exit") status.exit_code = static_cast<int>(*number);
    } else {
      fail(ErrorKind::data, "no status line: \"", line, "\"");
    }
  }
  return status;
}

RunFolder::RunFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

RunFolder& RunFolder::operator=(RunFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  return *this;
}

RunFolder RunFolder::create(const std::string& path, const std::string& data_name) {
  std::string folder = without_trailing_slash(path);
  if (folder.empty()) {
    folder = make_default_folder(data_name);
  } else {
    std::error_code error;
    fs::create_directories(folder, error);
    require(!error, ErrorKind::data, "cannot make the run folder ", folder, ": ", error.message(),
            "; choose another place with --out");
  }
  require_free(folder);  // before the lock, which is a file
  RunFolder run(folder, lock_run(folder));
  require_free(folder);
  remove_leftovers(folder);
  std::error_code error;
  fs::create_directory(run.checkpoint_folder(), error);
  require(!error, ErrorKind::data, "cannot make the folder ", run.checkpoint_folder(), ": ", error.message());
  point_latest_to(folder);
  return run;
}

void RunFolder::require_can_create(const std::string& path) {
  const std::string folder = without_trailing_slash(path.empty() ? "runs" : path);
  std::error_code error;
  if (fs::exists(folder, error)) {
    if (!path.empty()) require_free(folder);
    const bool writable = ::access(folder.c_str(), W_OK) == 0;
    require(writable, ErrorKind::data, with_reason("cannot write into the run folder " + folder));
    return;
  }
  fs::path parent = fs::absolute(folder, error).parent_path();
  while (!parent.empty() && !fs::exists(parent, error) && parent != parent.parent_path())
    parent = parent.parent_path();
  require(fs::is_directory(parent, error) && ::access(parent.c_str(), W_OK | X_OK) == 0, ErrorKind::data,
          "cannot make the run folder ", folder, ": ", parent.string(),
          " is not a folder that can be written; choose another place with --out");
}

RunFolder RunFolder::open(const std::string& path) {
  std::error_code error;
  require(fs::is_directory(path, error), ErrorKind::data, "there is no run folder ", path);
  // runs/latest may point elsewhere tomorrow: what is used and printed is the folder itself.
  std::string folder = without_trailing_slash(path);
  if (fs::is_symlink(folder, error))
    folder = (fs::path(folder).parent_path() / fs::read_symlink(folder, error)).string();
  require(!error, ErrorKind::data, "cannot open the run folder ", path, ": ", error.message());
  require(holds_run(folder), ErrorKind::data, "the folder ", folder,
          " holds no run to continue: no checkpoint is in ", folder, "/checkpoints");
  return RunFolder(folder, lock_run(folder));
}

RunFolder RunFolder::take(const std::string& path) {
  const std::string folder = without_trailing_slash(path);
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error, ErrorKind::data, "cannot make the folder ", folder, ": ", error.message(),
          "; choose another place with --out");
  return RunFolder(folder, lock_run(folder));
}

bool RunFolder::settles_as_run(const std::string& path) {
  const int handle = ::open((path + "/" + kLockName).c_str(), O_RDWR | O_CLOEXEC);
  if (handle >= 0) {
    take_lock(handle);  // a job that lives on is met again, and named, when the run is opened
    ::close(handle);
  }
  return holds_run(path);
}

bool RunFolder::holds_run(const std::string& path) {
  return !checkpoint::list_checkpoints(std::filesystem::path(path) / "checkpoints").empty();
}

std::string RunFolder::file(const std::string& name) const { return path_ + "/" + name; }

bool RunFolder::has(const std::string& name) const {
  std::error_code ignored;
  return fs::exists(file(name), ignored);
}

void RunFolder::write(const std::string& name, const std::string& content) const {
  replace_file(file(name), content);
}

std::string RunFolder::read(const std::string& name) const { return read_whole_file(file(name)); }

void RunFolder::write_status(const RunStatus& status) const {
  replace_file(file("status"), status_line(status) + "\n");
}

RunStatus RunFolder::read_status() const {
  std::string line = read("status");
  line = line.substr(0, line.find('\n'));
  return parse_status_line(line);
}

void RunFolder::log(const std::string& line) const { append_line(file("log.txt"), line); }

void record_failure(const std::string& run, int exit_code, const std::string& message) noexcept {
  try {
    append_line(run + "/log.txt", "trainer: error: " + message);
  } catch (...) {  // the failure itself is what matters
  }
  try {
    RunStatus status;
    try {
      const std::string line = read_whole_file(run + "/status");
      status = parse_status_line(line.substr(0, line.find('\n')));
    } catch (const Error&) {
      status = RunStatus{};
    }
    status.state = RunState::failed;
    status.exit_code = exit_code;
    status.reason = message;
    const std::string line = status_line(status) + "\n";
    const std::string suffix = ".failed.new";
    try {
      // Another rank may be writing the status just now: not into the same temporary file.
      replace_file(run + "/status", line, suffix);
    } catch (const Error&) {
      std::error_code ignored;
      fs::remove(run + "/status" + suffix, ignored);
      overwrite_file(run + "/status", line);  // a full disk has room for it where the old one stands
    }
  } catch (...) {  // as above
  }
}

}  // namespace trainer::report
