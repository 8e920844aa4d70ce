#pragma once

// What rank 0 writes about a run while it goes on. Private to this room.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/core/clock.h"
#include "trainer/report/csv.h"
#include "trainer/report/progress.h"
#include "trainer/report/run_folder.h"
#include "trainer/train/configuration.h"

namespace trainer::train {

/// Data rows of the CSV files.
struct RowCounts {
  std::int64_t metrics = 0, steps = 0, timing = 0, gradients = 0;
};

/// The run folder, the CSV files and the terminal, on rank 0; on other ranks an object that does nothing.
/// What cannot be written at the moment (a full disk) stops no run: rows wait in memory, lines of log.txt are
/// lost.
class Records {
 public:
  /// `folder` is absent on other ranks than 0.
  Records(std::optional<report::RunFolder> folder, const Configuration& configuration, std::FILE* out);

  bool active() const { return folder_.has_value(); }
  report::RunFolder& folder() { return *folder_; }

  /// The files of a new run, or with `resume` those of an earlier process cut to its counts of rows.
  void open_files(const std::vector<std::string>& metrics_columns, bool resume, const RowCounts& rows);
  /// A line for the terminal and log.txt.
  void note(const std::string& line);
  /// A line for log.txt alone. May be called by another thread.
  void log(const std::string& line) const;
  void progress(const report::ProgressState& state);
  void finish_progress();
  /// A picture of these values for a person at a terminal; elsewhere nothing.
  void plot(const std::string& title, const std::vector<double>& x, const std::vector<double>& y) const;

  void metrics_row(const std::vector<report::CsvCell>& cells) { append(metrics_, cells); }
  void timing_row(const std::vector<report::CsvCell>& cells) { append(timing_, cells); }
  void steps_row(const std::vector<report::CsvCell>& cells) { append(steps_, cells); }
  void gradients_row(const std::vector<report::CsvCell>& cells) { append(gradients_, cells); }
  bool with_steps() const { return steps_ != nullptr; }
  /// Hands all rows to the system. Throws Error(data) when it refuses; they wait then.
  void flush();
  /// Waits until all flushed rows are on the disk. May be called by another thread. Throws Error(data).
  void sync_flushed() const;
  double seconds() const { return watch_.seconds(); }

 private:
  static void append(std::unique_ptr<report::CsvFile>& file, const std::vector<report::CsvCell>& cells) {
    if (file) file->append(cells);
  }
  void open_optional(std::unique_ptr<report::CsvFile>& file, const char* name,
                     const std::vector<std::string>& columns, bool wanted, bool resume, std::int64_t rows);

  std::optional<report::RunFolder> folder_;
  bool log_steps_, log_gradients_;
  std::unique_ptr<report::Progress> progress_;
  std::FILE* terminal_ = nullptr;  ///< where a bar is shown
  std::unique_ptr<report::CsvFile> metrics_, timing_, steps_, gradients_;
  Stopwatch watch_;
};

}  // namespace trainer::train
