#pragma once

#include <cstdint>
#include <string>

namespace trainer::report {

enum class RunState { running, finished, stopped, failed };

/// What the one line of RUN/status says.
struct RunStatus {
  RunState state = RunState::running;
  int exit_code = 0;
  std::int64_t step = 0;
  std::string reason = {};      ///< a sentence; may be empty
  std::string checkpoint = {};  ///< the newest checkpoint, relative to the run folder; may be empty
  bool operator==(const RunStatus&) const = default;
};

/// The line of RUN/status: `finished exit=0 step=4700 checkpoint=checkpoints/step-00004700.h5 reason=...`
/// (the reason runs to the end).
std::string status_line(const RunStatus& status);
/// The reverse of status_line(). Throws Error(data) when `line` is none.
RunStatus parse_status_line(const std::string& line);

/// The folder of one run and the lock on it. Not collective: made and used by rank 0 alone. Move-only.
/// Every function throws Error(data) when the file system refuses.
class RunFolder {
 public:
  /// Makes the folder `path` (with its parents), or, when `path` is empty, runs/<data_name>-<date>-<time>;
  /// points runs/latest to it when it stands in ./runs. A folder that is empty, or that a start left behind
  /// before its first checkpoint, is taken. Throws Error(usage) when it holds a run or other files, or
  /// another job holds its lock.
  static RunFolder create(const std::string& path, const std::string& data_name);
  /// Throws as create() would for `path` (nothing when it is empty), as far as can be known without making
  /// anything.
  static void require_can_create(const std::string& path);
  /// Opens an existing run (RUN may be runs/latest). Throws Error(data) when there is none, Error(usage) when
  /// another job holds its lock.
  static RunFolder open(const std::string& path);
  /// Makes the folder if need be and takes its lock, whatever it holds: for a study. Throws Error(usage) when
  /// another job holds the lock.
  static RunFolder take(const std::string& path);
  /// True when `path` holds a run that could be resumed: at least one checkpoint.
  static bool holds_run(const std::string& path);
  /// The same once a job that was just killed there is gone (waits for seconds at most).
  static bool settles_as_run(const std::string& path);

  ~RunFolder();
  RunFolder(RunFolder&&) noexcept;
  RunFolder& operator=(RunFolder&&) noexcept;

  const std::string& path() const { return path_; }
  /// RUN/name.
  std::string file(const std::string& name) const;
  /// Whether RUN/name is there.
  bool has(const std::string& name) const;
  std::string checkpoint_folder() const { return file("checkpoints"); }
  std::string best_checkpoint() const { return file("best.h5"); }

  /// Replaces RUN/name by `content`: written beside, synced, renamed. For config.ini, environment.txt,
  /// result.json.
  void write(const std::string& name, const std::string& content) const;
  /// The content of RUN/name.
  std::string read(const std::string& name) const;
  /// Replaces RUN/status.
  void write_status(const RunStatus& status) const;
  RunStatus read_status() const;
  /// Appends one line (without its end) to log.txt.
  void log(const std::string& line) const;

 private:
  RunFolder(std::string path, int lock);
  std::string path_;
  int lock_ = -1;
};

/// For any rank, at its end: appends the message to RUN/log.txt and replaces RUN/status by `failed`, as well
/// as it can; keeps the step and the checkpoint of the status that stands there. Needs no lock.
void record_failure(const std::string& run, int exit_code, const std::string& message) noexcept;

}  // namespace trainer::report
