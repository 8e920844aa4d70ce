#include "ledger.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>

#include "csv_lines.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::study {
namespace {

const std::vector<std::string> kCurveColumns = {"trial", "step", "epoch", "samples", "metric", "value"};
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
const std::vector<std::string> kOutcomes = {"goal", "budget", "early_stopping", "diverged", "failed"};

/// Of metrics.csv, those that are no curve.
bool is_place(const std::string& column) {
  return column == "epoch" || column == "step" || column == "samples" || column == "lr" ||
         column == "penalty";
}

double number_of(const std::string& text) { return parse_number(text).value_or(kNone); }

std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

const char* name_of(train::TrialResult::Outcome outcome) {
  using Outcome = train::TrialResult::Outcome;
  switch (outcome) {
    case Outcome::goal:
      return "goal";
    case Outcome::budget:
      return "budget";
    case Outcome::early_stopping:
      return "early_stopping";
    case Outcome::diverged:
      return "diverged";
    case Outcome::abandoned:
      return "abandoned";
  }
  return "";
}

void read_number(const std::string& text, std::int64_t& value) { value = parse_integer(text).value_or(-1); }
void read_number(const std::string& text, double& value) { value = number_of(text); }

std::string text_of(std::int64_t value) { return std::to_string(value); }
std::string text_of(double value) { return format_number(value); }

}  // namespace

std::string to_text(const Report& report) {
  std::ostringstream out;
  Record record = report.record;
  out << report.id << '\n' << record.outcome << '\n' << one_line(record.message) << '\n';
  each_number(record, [&](const char*, auto value) { out << text_of(value) << '\n'; });
  out << report.curves.columns.size() << ' ' << report.curves.rows.size() << '\n';
  for (const std::string& column : report.curves.columns) out << column << '\n';
  for (const auto& row : report.curves.rows)
    for (const double value : row) out << format_number(value) << '\n';
  return out.str();
}

Report report_from(const std::string& text) {
  std::istringstream in(text);
  Report report;
  const auto line = [&in] {
    std::string one;
    require(static_cast<bool>(std::getline(in, one)), ErrorKind::internal,
            "a report of a trial is cut short");
    return one;
  };
  report.id = line();
  report.record.outcome = line();
  report.record.message = line();
  each_number(report.record, [&](const char*, auto& value) { read_number(line(), value); });
  std::size_t columns = 0, rows = 0;
  std::istringstream(line()) >> columns >> rows;
  for (std::size_t i = 0; i < columns; ++i) report.curves.columns.push_back(line());
  for (std::size_t i = 0; i < rows; ++i) {
    report.curves.rows.emplace_back();
    for (std::size_t j = 0; j < columns; ++j) report.curves.rows.back().push_back(number_of(line()));
  }
  return report;
}

Report report_of(const std::string& id, const train::TrialResult& result) {
  Report report;
  report.id = id;
  Record& record = report.record;
  record.outcome = name_of(result.outcome);
  // Which rows and which rank is another matter on another number of ranks.
  record.message = result.message.substr(0, result.message.find(','));
  record.steps = result.steps;
  record.samples = result.samples;
  record.goal_step = result.goal_step;
  record.goal_samples = result.goal_samples;
  record.goal_resolution = result.goal_resolution;
  record.goal_seconds = result.goal_seconds;
  record.best = result.best;
  record.best_step = result.best_step;
  record.noise_scale = result.noise_scale;
  record.seconds = result.seconds.total;
  record.compute = result.seconds.compute();
  record.communicate = result.seconds.communicate;
  record.wait = result.seconds.wait;
  record.read = result.seconds.read;
  report.curves = {result.columns, result.rows};
  return report;
}

namespace {

std::vector<std::string> trial_columns(const std::vector<std::string>& variables, const std::string& metric) {
  std::vector<std::string> columns = {"trial", "batch", "point", "stage", "seed"};
  columns.insert(columns.end(), variables.begin(), variables.end());
  columns.emplace_back("outcome");
  Record record;
  each_number(record, [&](const std::string& name, auto) { columns.push_back(column_of(name, metric)); });
  columns.emplace_back("message");
  return columns;
}

std::vector<report::CsvCell> trial_cells(const Trial& trial, Record record) {
  std::vector<report::CsvCell> cells = {trial.id, trial.batch, trial.point,
                                        std::string(trial.measured ? "measure" : "search"),
                                        static_cast<std::int64_t>(trial.seed)};
  for (const auto& [name, value] : trial.settings) cells.emplace_back(value);
  cells.emplace_back(record.outcome);
  each_number(record, [&](const char*, auto value) { cells.emplace_back(value); });
  cells.emplace_back(record.message);
  return cells;
}

/// By name, the metrics of a row have an order that a file read back has, too.
void append_curves(report::CsvFile& file, const std::string& id, const Curves& curves) {
  std::map<std::string, std::size_t> metrics;
  for (std::size_t c = 0; c < curves.columns.size(); ++c)
    if (!is_place(curves.columns[c])) metrics[curves.columns[c]] = c;
  for (const auto& row : curves.rows)
    for (const auto& [name, c] : metrics)
      if (!std::isnan(row[c]))
        file.append(
            {id, static_cast<std::int64_t>(row[1]), row[0], static_cast<std::int64_t>(row[2]), name, row[c]});
}

/// -1 stands for "never"; a metric may be any number.
void read_cell(CsvLines& lines, const std::string& name, std::int64_t& value) {
  value = lines.whole(name == "steps" || name == "samples" ? 0 : -1);
}
void read_cell(CsvLines& lines, const std::string& name, double& value) {
  value = name == "best" || name == "noise_scale" ? lines.number() : lines.number(-1);
}

void read_trials(const std::string& file, const std::vector<std::string>& variables, Found& found) {
  CsvLines lines(file, "delete the line: the trial is done again");
  const std::string prefix = "best_";
  for (const std::string& column : lines.columns())
    if (column.starts_with(prefix) && column != "best_step") found.metric = column.substr(prefix.size());
  require(lines.columns() == trial_columns(variables, found.metric), ErrorKind::data, file,
          ": has other columns than this study writes");
  while (lines.next()) {
    Trial trial;
    trial.id = lines.word();
    if (trial.id.empty() || found.records.contains(trial.id))
      lines.fail_here("no trial, or one that was there before");
    trial.batch = lines.whole(0);
    trial.point = lines.whole(0);
    trial.measured = lines.name({"search", "measure"}) == "measure";
    trial.seed = static_cast<std::uint64_t>(lines.whole(0));
    for (const std::string& name : variables) trial.settings.emplace_back(name, lines.word());
    Record record;
    record.outcome = lines.name(kOutcomes);
    each_number(record, [&](const std::string& name, auto& value) { read_cell(lines, name, value); });
    record.message = lines.word();
    found.records[trial.id] = std::move(record);
    found.trials[trial.id] = std::move(trial);
  }
}

void read_curves(const std::string& file, Found& found) {
  CsvLines lines(file, "delete the line of its trial in trials.csv: the trial is done again");
  require(lines.columns() == kCurveColumns, ErrorKind::data, file,
          ": has other columns than this study writes");
  while (lines.next()) {
    const std::string id = lines.word();
    if (!found.records.contains(id)) continue;
    const auto step = static_cast<double>(lines.whole(0));
    const double epoch = lines.number(0);
    const auto samples = static_cast<double>(lines.whole(0));
    const std::string metric = lines.word();
    if (metric.empty() || is_place(metric)) lines.fail_here("no metric");
    Curves& mine = found.curves[id];
    if (mine.columns.empty()) mine.columns = {"epoch", "step", "samples"};
    const auto column =
        static_cast<std::size_t>(std::ranges::find(mine.columns, metric) - mine.columns.begin());
    if (column == mine.columns.size()) mine.columns.push_back(metric);
    if (mine.rows.empty() || mine.rows.back()[1] != step) mine.rows.push_back({epoch, step, samples});
    mine.rows.back().resize(mine.columns.size(), kNone);
    mine.rows.back()[column] = lines.number();
  }
  for (auto& [id, mine] : found.curves)
    for (auto& row : mine.rows) row.resize(mine.columns.size(), kNone);
}

/// Whether the evaluations are there that the record speaks of: of its best step, and of its last.
bool tells_all(const Record& record, const Curves& curves) {
  const auto has = [&](std::int64_t step) {
    return std::ranges::any_of(curves.rows,
                               [&](const auto& row) { return row[1] == static_cast<double>(step); });
  };
  return (record.best_step < 0 || has(record.best_step)) && (!record.ended() || has(record.steps));
}

}  // namespace

void require_names(const std::vector<std::string>& variables, const std::string& metric) {
  const std::vector<std::string> columns = trial_columns({}, metric);
  for (const std::string& name : variables)
    require(std::ranges::find(columns, name) == columns.end(), ErrorKind::usage, "the variable ", name,
            " is called as a column of trials.csv is; give the placeholder another name, such as $my_", name);
}

Found read_found(const std::string& folder, const std::vector<std::string>& variables) {
  Found found;
  if (!std::filesystem::exists(folder + "/trials.csv")) return found;  // begun, and nothing is done
  read_trials(folder + "/trials.csv", variables, found);
  if (std::filesystem::exists(folder + "/curves.csv")) read_curves(folder + "/curves.csv", found);
  return found;
}

Ledger::Ledger(const report::RunFolder& folder, std::vector<std::string> variables, std::string metric,
               bool resume)
    : folder_(folder), variables_(std::move(variables)) {
  if (resume && folder_.has("trials.csv")) found_ = read_found(folder_.path(), variables_);
  require(found_.metric.empty() || found_.metric == metric, ErrorKind::data, folder_.file("trials.csv"),
          ": is of the metric ", found_.metric, ", this study of ", metric);
  found_.metric = std::move(metric);
  forget_without_curves();
  std::vector<Trial> trials;  // both files again, with what is known
  for (const auto& [id, trial] : found_.trials) trials.push_back(trial);
  put_in_order(trials);
}

void Ledger::forget_without_curves() {
  std::vector<std::string> ids;
  for (const auto& [id, record] : found_.records)
    if (!tells_all(record, found_.curves[id])) ids.push_back(id);
  for (const std::string& id : ids) {
    found_.records.erase(id);
    found_.trials.erase(id);
    found_.curves.erase(id);
  }
  if (!ids.empty())
    note_ = text(folder_.file("curves.csv"), " lacks the curves of ", ids.size(),
                 " trial(s) that trials.csv holds (", ids.front(), ids.size() > 1 ? ", ..." : "",
                 "): they are done again");
}

void Ledger::add(const Trial& trial, const Report& report) {
  append_curves(*curves_file_, trial.id, report.curves);
  curves_file_->flush();
  curves_file_->sync_flushed();
  trials_file_->append(trial_cells(trial, report.record));
  trials_file_->flush();
  trials_file_->sync_flushed();
  found_.records[trial.id] = report.record;
  found_.trials[trial.id] = trial;
  found_.curves[trial.id] = report.curves;
}

/// Written beside and renamed, so that a kill loses nothing.
void Ledger::put_in_order(const std::vector<Trial>& trials) {
  const auto beside = [&](const std::string& name) { return folder_.file(name) + ".new"; };
  curves_file_.reset();
  trials_file_.reset();
  auto curves = report::CsvFile::create(beside("curves.csv"), kCurveColumns);
  auto rows = report::CsvFile::create(beside("trials.csv"), trial_columns(variables_, found_.metric));
  for (const Trial& trial : trials) {
    const auto record = found_.records.find(trial.id);
    if (record == found_.records.end()) continue;
    rows.append(trial_cells(trial, record->second));
    append_curves(curves, trial.id, found_.curves[trial.id]);
  }
  for (report::CsvFile* file : {&curves, &rows}) {
    file->flush();
    file->sync_flushed();
  }
  // The curves first: a trial counts by its row, and both versions hold the curves of all rows.
  for (const char* name : {"curves.csv", "trials.csv"}) {
    std::error_code error;
    std::filesystem::rename(beside(name), folder_.file(name), error);
    require(!error, ErrorKind::data, "cannot rename ", beside(name), ": ", error.message());
  }
  curves_file_ = std::make_unique<report::CsvFile>(std::move(curves));
  trials_file_ = std::make_unique<report::CsvFile>(std::move(rows));
}

}  // namespace trainer::study
