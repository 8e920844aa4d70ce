#include "records.h"

#include <filesystem>

#include "gradient_log.h"
#include "trainer/core/error.h"
#include "trainer/report/text_plot.h"

namespace trainer::train {
namespace {

const std::vector<std::string> kTimingColumns = {"epoch",   "step",        "seconds", "samples_per_second",
                                                 "compute", "communicate", "wait",    "read"};
const std::vector<std::string> kStepsColumns = {"step", "loss", "lr", "grad_norm", "bytes_sent"};

}  // namespace

Records::Records(std::optional<report::RunFolder> folder, const Configuration& configuration, std::FILE* out)
    : folder_(std::move(folder)),
      log_steps_(configuration.log_steps),
      log_gradients_(configuration.log_gradients) {
  if (!active() || out == nullptr) return;
  const report::Terminal terminal = report::find_terminal();
  const report::ProgressStyle style =
      report::choose_style(configuration.progress, configuration.quiet, terminal);
  if (style == report::ProgressStyle::bar) terminal_ = out;
  progress_ = std::make_unique<report::Progress>(out, style, configuration.log_every_seconds,
                                                 configuration.quiet, terminal.columns);
}

void Records::plot(const std::string& title, const std::vector<double>& x,
                   const std::vector<double>& y) const {
  constexpr int kWidth = 72, kHeight = 10;
  if (terminal_ == nullptr) return;
  std::fputs(report::text_plot(title, x, y, kWidth, kHeight).c_str(), terminal_);
}

void Records::open_files(const std::vector<std::string>& metrics_columns, bool resume,
                         const RowCounts& rows) {
  if (!active()) return;
  const auto open = [&](const char* name, const std::vector<std::string>& columns, std::int64_t count) {
    const std::string path = folder_->file(name);
    const bool there = resume && std::filesystem::exists(path);  // a log that was deleted begins anew
    return std::make_unique<report::CsvFile>(there ? report::CsvFile::reopen(path, columns, count)
                                                   : report::CsvFile::create(path, columns));
  };
  metrics_ = open("metrics.csv", metrics_columns, rows.metrics);
  timing_ = open("timing.csv", kTimingColumns, rows.timing);
  open_optional(steps_, "steps.csv", kStepsColumns, log_steps_, resume, rows.steps);
  open_optional(gradients_, "gradients.csv", kGradientColumns, log_gradients_, resume, rows.gradients);
}

/// A log that is not wanted any more keeps the rows that the checkpoint counts.
void Records::open_optional(std::unique_ptr<report::CsvFile>& file, const char* name,
                            const std::vector<std::string>& columns, bool wanted, bool resume,
                            std::int64_t rows) {
  const std::string path = folder_->file(name);
  const bool there = resume && std::filesystem::exists(path);
  if (there && (!wanted || rows > 0)) {
    auto cut = report::CsvFile::reopen(path, columns, rows);
    if (wanted) file = std::make_unique<report::CsvFile>(std::move(cut));
  } else if (wanted) {
    file = std::make_unique<report::CsvFile>(report::CsvFile::create(path, columns));
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
  for (auto* file : {&metrics_, &timing_, &steps_, &gradients_})
    if (*file) (*file)->flush();
}

void Records::sync_flushed() const {
  for (const auto* file : {&metrics_, &timing_, &steps_, &gradients_})
    if (*file) (*file)->sync_flushed();
}

}  // namespace trainer::train
