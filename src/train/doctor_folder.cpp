#include "doctor_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "trainer/comm/host.h"
#include "trainer/core/clock.h"
#include "trainer/core/grammar.h"

namespace trainer::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kElsewhere = "choose another place with --out";

std::string reason() { return std::strerror(errno); }

Finding problem(std::string what, std::string remedy) {
  return {.severity = Severity::problem,
          .check = "folder",
          .text = std::move(what),
          .remedy = std::move(remedy),
          .kind = ErrorKind::data};
}

Finding advice(std::string what, std::string remedy) {
  return {.check = "folder", .text = std::move(what), .remedy = std::move(remedy)};
}

std::string size_text(std::int64_t bytes) {
  if (bytes < 10 << 20) return text((bytes + 1023) >> 10, " KiB");
  const bool large = bytes >= std::int64_t{1} << 30;
  const double value = static_cast<double>(bytes) / (large ? 1 << 30 : 1 << 20);
  return format_number(static_cast<double>(static_cast<std::int64_t>(value * 10)) / 10) +
         (large ? " GiB" : " MiB");
}

/// Bytes that can be written where `path` is; nothing when it is not known.
std::optional<std::int64_t> free_bytes(const std::string& path) {
  struct statvfs facts {};
  if (::statvfs(path.c_str(), &facts) != 0 || facts.f_blocks == 0) return std::nullopt;
  return static_cast<std::int64_t>(facts.f_bavail) * static_cast<std::int64_t>(facts.f_frsize);
}

/// `folder`, or the nearest above it that is there.
std::string nearest_existing(const std::string& folder) {
  std::error_code error;
  fs::path place = fs::absolute(folder, error).lexically_normal();
  while (place.has_relative_path() && fs::symlink_status(place, error).type() == fs::file_type::not_found)
    place = place.parent_path();
  return place.string();
}

/// A folder of our own that is removed, with what is in it, at the end.
class TrialFolder {
 public:
  explicit TrialFolder(const std::string& place) : path_(place + "/.trainer-doctor-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      error_ = reason();
      path_.clear();
    }
  }
  ~TrialFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TrialFolder(const TrialFolder&) = delete;
  TrialFolder& operator=(const TrialFolder&) = delete;

  bool is_there() const { return !path_.empty(); }
  const std::string& error() const { return error_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::string error_;
};

/// An open file; closed at the end of its block.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : handle_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (handle_ >= 0) ::close(handle_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return handle_; }

 private:
  int handle_;
};

/// Locks `file` through one descriptor and tries it through another, as another job would.
void try_locks(const std::string& file, std::vector<Finding>& findings) {
  const Descriptor first(file, O_RDWR), second(file, O_RDWR);
  const char* const remedy =
      "see to it that no two jobs use one run folder, or take a file system with locks (Lustre: mounted with "
      "-o flock; NFS: with its lock service)";
  if (::flock(first.get(), LOCK_EX | LOCK_NB) != 0) {
    findings.push_back(advice(text("locks (flock) do not work in ", file, ": ", reason(),
                                   "; a second job on the same run folder would not be refused"),
                              remedy));
  } else if (::flock(second.get(), LOCK_EX | LOCK_NB) == 0) {
    findings.push_back(
        advice(text("locks (flock) have no effect in ", file,
                    ": the same lock was given twice; a second job on the same run folder would not "
                    "be refused"),
               remedy));
  }
}

/// What a checkpoint's writer does, step by step.
void try_writing(const std::string& place, std::vector<Finding>& findings) {
  const std::string before = place + "/before", after = place + "/after";
  {
    const Descriptor file(before, O_WRONLY | O_CREAT);
    const std::string bytes(4096, 't');
    if (file.get() < 0 || ::write(file.get(), bytes.data(), bytes.size()) != 4096) {
      findings.push_back(problem(text("cannot write ", before, ": ", reason()), kElsewhere));
      return;
    }
    if (::fsync(file.get()) != 0)
      findings.push_back(advice(text("fsync of ", before, ": ", reason(),
                                     "; after a crash of the node a checkpoint may not be on the disk"),
                                kElsewhere));
  }
  if (::rename(before.c_str(), after.c_str()) != 0) {
    findings.push_back(problem(
        text("cannot rename in ", place, ": ", reason(), "; checkpoints are written beside and renamed"),
        kElsewhere));
    return;
  }
  const Descriptor file(before, O_WRONLY | O_CREAT);  // over one that is there, too, as RUN/status is
  if (file.get() < 0 || ::rename(before.c_str(), after.c_str()) != 0)
    findings.push_back(problem(text("cannot rename over a file in ", place, ": ", reason(),
                                    "; checkpoints and RUN/status are replaced in this way"),
                               kElsewhere));
  const Descriptor folder(place, O_RDONLY | O_DIRECTORY);
  if (folder.get() < 0 || ::fsync(folder.get()) != 0)
    findings.push_back(advice(text("fsync of the folder ", place, ": ", reason(),
                                   "; after a crash of the node the newest checkpoint may be missing"),
                              kElsewhere));
  try_locks(after, findings);
}

/// Waits until `file` holds `content`, for some seconds: network file systems keep what they knew a while.
bool appears(const std::string& file, const std::string& content) {
  constexpr double kPatienceSeconds = 5;
  const Stopwatch watch;
  while (true) {
    std::ifstream stream(file);
    std::string line;
    if (std::getline(stream, line) && line == content) return true;
    if (watch.seconds() > kPatienceSeconds) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

/// **Collective.** Whether every rank sees what rank 0 writes in `place` (of rank 0; empty: it could not).
void try_visibility(const comm::Communicator& world, const std::string& place_of_first,
                    std::vector<Finding>& findings) {
  const std::string place = world.broadcast(place_of_first, 0);
  if (place.empty() || world.size() == 1) return;
  const std::string file = place + "/token";
  const std::string token = world.broadcast(text(comm::host_name(), " ", ::getpid()), 0);
  if (world.rank() == 0) std::ofstream(file) << token << '\n';
  world.barrier();
  const bool seen = appears(file, token);
  const auto all = world.all_gather(text(seen ? "yes " : "no ", comm::host_name()));
  std::string blind;
  int others = 0;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].starts_with("yes")) continue;
    if (blind.empty()) {
      blind = text("rank ", rank, " on ", all[rank].substr(3));
    } else {
      ++others;
    }
  }
  if (blind.empty()) return;
  findings.push_back(
      advice(text(blind, others > 0 ? text(" and ", others, " more ranks do") : " does",
                  " not see what rank 0 writes to ", fs::path(place).parent_path().string()),
             "only rank 0 needs it while a run goes on, but a resume from another host would not find "
             "the run: put it on a file system that all nodes share"));
}

}  // namespace

std::vector<Finding> space_findings(const std::string& path, std::int64_t checkpoint_bytes,
                                    std::int64_t keep) {
  const auto space = free_bytes(path);
  if (!space || checkpoint_bytes <= 0) return {};
  // `keep`, one that is being written, and best.h5.
  const double needed = static_cast<double>(checkpoint_bytes) * (static_cast<double>(keep) + 2);
  if (static_cast<double>(*space) >= needed) return {};
  return {problem(
      text("where ", path, " is, ", size_text(*space), " are free; ", keep + 2, " checkpoints (--keep ", keep,
           ", the best and one being written) of ", size_text(checkpoint_bytes), " need ",
           size_text(static_cast<std::int64_t>(std::min(needed, 9e18)))),
      "free some space, give a smaller --keep, or choose another place with --out")};
}

std::vector<Finding> lock_findings(const std::string& run) {
  const std::string name = run + "/.lock";
  const Descriptor second(name, O_RDWR);
  if (second.get() < 0) return {};
  if (::flock(second.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return {};
  return {advice(text("locks (flock) do not work in the run folder ", run),
                 "see to it that no second job uses it, or choose a file system with locks with --out")};
}

FolderReport examine_folder(const comm::Communicator& world, const std::string& folder,
                            std::int64_t checkpoint_bytes, std::int64_t keep) {
  FolderReport report;
  std::optional<TrialFolder> trial;
  if (world.rank() == 0) {
    const std::string place = nearest_existing(folder);
    std::error_code error;
    if (!fs::is_directory(place, error)) {
      report.findings.push_back(
          problem(text("the run folder ", folder, " cannot be made: ", place, " is no folder"), kElsewhere));
    } else {
      trial.emplace(place);
      if (!trial->is_there()) {
        report.findings.push_back(
            problem(text("the run folder ", folder, ": cannot write into ", place, ": ", trial->error()),
                    kElsewhere));
        trial.reset();
      } else {
        try_writing(trial->path(), report.findings);
      }
      const auto space = space_findings(place, checkpoint_bytes, keep);
      report.findings.insert(report.findings.end(), space.begin(), space.end());
      const auto bytes = free_bytes(place);
      report.summary =
          text(folder, fs::exists(folder, error) ? "" : " (to be made)",
               ": writing, fsync, rename and locks work", bytes ? ", " + size_text(*bytes) + " free" : "",
               checkpoint_bytes > 0 ? ", a checkpoint has " + size_text(checkpoint_bytes) : "");
    }
  }
  try_visibility(world, trial ? trial->path() : "", report.findings);
  world.barrier();  // the token may go now
  return report;
}

}  // namespace trainer::train
