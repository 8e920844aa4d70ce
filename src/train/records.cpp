#include "records.h"

#include <filesystem>

#include "trainer/core/error.h"

namespace trainer::train {
namespace {

const std::vector<std::string> kTimingColumns = {"epoch",   "step",        "seconds", "samples_per_second",
                                                 "compute", "communicate", "wait",    "read"};
const std::vector<std::string> kStepsColumns = {"step", "loss", "lr", "grad_norm", "bytes_sent"};

}  // namespace

Records::Records(std::optional<report::RunFolder> folder, const Configuration& configuration, std::FILE* out)
    : folder_(std::move(folder)) {
  if (!active() || out == nullptr) return;
  const report::Terminal terminal = report::find_terminal();
  progress_ = std::make_unique<report::Progress>(
      out, report::choose_style(configuration.progress, configuration.quiet, terminal),
      configuration.log_every_seconds, configuration.quiet, terminal.columns);
}

void Records::open_files(std::vector<std::string> metrics_columns, bool with_steps, bool resume,
                         std::int64_t metrics_rows, std::int64_t timing_rows, std::int64_t steps_rows) {
  if (!active()) return;
  const auto open = [&](const char* name, std::vector<std::string> columns, std::int64_t rows) {
    const std::string path = folder_->file(name);
    const bool there = resume && std::filesystem::exists(path);  // a log that was deleted begins anew
    return std::make_unique<report::CsvFile>(there ? report::CsvFile::reopen(path, std::move(columns), rows)
                                                   : report::CsvFile::create(path, std::move(columns)));
  };
  metrics_ = open("metrics.csv", std::move(metrics_columns), metrics_rows);
  timing_ = open("timing.csv", kTimingColumns, timing_rows);
  if (!with_steps && resume && std::filesystem::exists(folder_->file("steps.csv")))
    report::CsvFile::reopen(folder_->file("steps.csv"), kStepsColumns,
                            steps_rows);  // rows beyond the checkpoint go
  if (with_steps) {
    const bool anew = resume && steps_rows == 0;
    steps_ = anew ? std::make_unique<report::CsvFile>(
                        report::CsvFile::create(folder_->file("steps.csv"), kStepsColumns))
                  : open("steps.csv", kStepsColumns, steps_rows);
  }
}

void Records::note(const std::string& line) {
  if (!active()) return;
  log(line);
  if (progress_) progress_->note(line);
}

void Records::log(const std::string& line) const {
  if (!active()) return;
  try {
    folder_->log(line);
  } catch (const Error&) {  // a full disk: the line is lost, the run is not
  }
}

void Records::progress(const report::ProgressState& state) {
  if (progress_) progress_->update(state, watch_.seconds());
}

void Records::finish_progress() {
  if (progress_) progress_->finish();
}

void Records::flush() {
  for (auto* file : {&metrics_, &timing_, &steps_})
    if (*file) (*file)->flush();
}

void Records::sync_flushed() const {
  for (const auto* file : {&metrics_, &timing_, &steps_})
    if (*file) (*file)->sync_flushed();
}

}  // namespace trainer::train
