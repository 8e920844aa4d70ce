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

/// The run folder, the CSV files and the terminal, on rank 0; on other ranks an object that does nothing.
class Records {
 public:
  /// `folder` is absent on other ranks than 0.
  Records(std::optional<report::RunFolder> folder, const Configuration& configuration, std::FILE* out);

  bool active() const { return folder_.has_value(); }
  report::RunFolder& folder() { return *folder_; }

  /// The files of a new run, or those of an earlier process cut to its counts of rows.
  void open_files(std::vector<std::string> metrics_columns, bool with_steps, bool resume,
                  std::int64_t metrics_rows, std::int64_t timing_rows, std::int64_t steps_rows);
  /// A line for the terminal and log.txt.
  void note(const std::string& line);
  /// A line for log.txt alone.
  void log(const std::string& line);
  void progress(const report::ProgressState& state);
  void finish_progress();

  void metrics_row(const std::vector<report::CsvCell>& cells) { append(metrics_, cells); }
  void timing_row(const std::vector<report::CsvCell>& cells) { append(timing_, cells); }
  void steps_row(const std::vector<report::CsvCell>& cells) { append(steps_, cells); }
  bool with_steps() const { return steps_ != nullptr; }
  /// All rows on disk.
  void sync();
  double seconds() const { return watch_.seconds(); }

 private:
  static void append(std::unique_ptr<report::CsvFile>& file, const std::vector<report::CsvCell>& cells) {
    if (file) file->append(cells);
  }
  std::optional<report::RunFolder> folder_;
  std::unique_ptr<report::Progress> progress_;
  std::unique_ptr<report::CsvFile> metrics_, timing_, steps_;
  Stopwatch watch_;
};

}  // namespace trainer::train
