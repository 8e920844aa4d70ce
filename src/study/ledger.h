#pragma once

// What a study has found out so far, in memory and on disk. Private to this room.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "trainer/report/csv.h"
#include "trainer/report/run_folder.h"
#include "trainer/study/trials.h"
#include "trainer/train/trial.h"

namespace trainer::study {

/// The curves of a trial, long: trial,step,epoch,samples,metric,value.
struct Curves {
  std::vector<std::string> columns;       ///< of metrics.csv
  std::vector<std::vector<double>> rows;  ///< one an evaluation
};

/// One trial that has ended, for a message between ranks.
struct Report {
  std::string id;
  Record record;
  Curves curves;
};
std::string to_text(const Report& report);
/// Throws Error(internal) for a text that to_text() did not write.
Report report_from(const std::string& text);
/// What a trial came to.
Report report_of(const std::string& id, const train::TrialResult& result);

/// The numbers of a record, by the names of their columns; `best` is best_METRIC in files.
template <class Visit>
void each_number(Record& record, const Visit& visit) {
  visit("steps", record.steps);
  visit("samples", record.samples);
  visit("goal_step", record.goal_step);
  visit("goal_samples", record.goal_samples);
  visit("goal_resolution", record.goal_resolution);
  visit("goal_seconds", record.goal_seconds);
  visit("best", record.best);
  visit("best_step", record.best_step);
  visit("noise_scale", record.noise_scale);
  visit("seconds", record.seconds);
  visit("compute", record.compute);
  visit("communicate", record.communicate);
  visit("wait", record.wait);
  visit("read", record.read);
}
/// The column of the number `name`.
inline std::string column_of(const std::string& name, const std::string& metric) {
  return name == "best" ? "best_" + metric : name;
}
/// Throws Error(usage) for a variable that is called as a column of trials.csv is, whose best is of `metric`.
void require_names(const std::vector<std::string>& variables, const std::string& metric);

/// What stands in the files of a study.
struct Found {
  std::string metric;  ///< of the best
  Records records;
  std::map<std::string, Trial> trials;
  std::map<std::string, Curves> curves;
};
/// Of `folder`, whose study has these variables; nothing where no trials.csv is. A last row that a kill cut
/// short, and curves without a trial, are left out. Throws Error(data), with the line, for anything else that
/// the study did not write.
Found read_found(const std::string& folder, const std::vector<std::string>& variables);

/// trials.csv and curves.csv of a study: a trial counts once its row is on the disk. Rank 0 alone.
class Ledger {
 public:
  /// `variables`: their names; `metric`: of the best. With `resume`, takes up the trials that are there.
  /// Throws Error(data).
  Ledger(const report::RunFolder& folder, std::vector<std::string> variables, std::string metric,
         bool resume);

  const Found& found() const { return found_; }
  /// What the user should be told: trials without their curves do not count. Mostly nothing.
  const std::string& note() const { return note_; }
  /// Writes it, and waits until it is on the disk.
  void add(const Trial& trial, const Report& report);
  /// Puts the rows of both files in the order of `trials`: the files no longer tell who came first.
  void put_in_order(const std::vector<Trial>& trials);

 private:
  void forget_without_curves();

  const report::RunFolder& folder_;
  std::vector<std::string> variables_;
  std::string note_;
  Found found_;
  std::unique_ptr<report::CsvFile> trials_file_, curves_file_;
};

}  // namespace trainer::study
