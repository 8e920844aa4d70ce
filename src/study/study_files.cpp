#include "study_files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "question.h"
#include "rank_summary.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/h5/file.h"
#include "trainer/report/page.h"
#include "trainer/report/run_report.h"
#include "trainer/train/stopping.h"

namespace trainer::study {
namespace {

namespace fs = std::filesystem;

/// Of the data; the path to them may change.
const std::string kFingerprint = "data.fingerprint";

/// Throws unless it is what a study wrote: options, a line each.
void require_settings(const std::string& file, const std::string& config) {
  bool any = false;
  for (std::size_t begin = 0; begin < config.size();) {
    const std::size_t end = std::min(config.find('\n', begin), config.size());
    const std::string line = config.substr(begin, end - begin);
    const bool option = line.find(" = ") != std::string::npos && line.find('\0') == std::string::npos;
    any = any || (option && line[0] != '#');
    require(
        option || line.empty() || line[0] == '#', ErrorKind::data, file,
        " is damaged: it holds a line that is no option; put back the file that the study wrote, or choose "
        "another folder with --out");
    begin = end + 1;
  }
  require(any, ErrorKind::data, file,
          " holds no options: it is not what the study wrote; put that back, or choose another folder with "
          "--out");
}

/// A new study makes the folder its own: it must be new, or hold nothing but what a start of a study that
/// died left behind.
void require_free(const std::string& path) {
  const std::set<std::string> first = {".lock",  kFingerprint,      "config.ini",
                                       "status", "environment.txt", "log.txt"};
  std::error_code error;
  if (!fs::exists(path, error)) return;
  fs::directory_iterator entry(path, error);
  require(!error, ErrorKind::data, "cannot read the folder ", path, ": ", error.message());
  for (const fs::directory_iterator end; entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool ours = std::ranges::any_of(first, [&](const std::string& one) {
      return name == one || (name.starts_with(one + ".") && name.ends_with(".new"));
    });
    require(ours, ErrorKind::usage, "the folder ", path, " is not empty: it holds ", name,
            "; choose a new folder with --out");
  }
}

/// The lines of config.ini that decide results: not where it runs.
std::string decisive(const std::string& config) {
  std::string kept;
  for (std::size_t begin = 0; begin < config.size();) {
    const std::size_t end = std::min(config.find('\n', begin), config.size());
    const std::string line = config.substr(begin, end - begin);
    const std::string name = line.substr(0, line.find(' '));
    const bool free = line.empty() || line[0] == '#' || name == "ranks-per-trial" || name == "time-limit" ||
                      name == "time-margin" || name == "quiet" || name == "progress" || name == "log-every" ||
                      name == "stall-timeout" || name == "memory-limit" || name == "data";
    if (!free) kept += line + "\n";
    begin = end + 1;
  }
  return kept;
}

/// The first line of `text` that `other` has not; empty: it has all.
std::string first_line_missing(const std::string& text, const std::string& other) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (("\n" + other).find("\n" + line + "\n") == std::string::npos) return line;
    begin = end + 1;
  }
  return "";
}

/// For a study of ranks: the batch sizes at which all seeds reached the goal.
void write_steps_to_goal(h5::File& file, const Summary& summary) {
  std::vector<std::int64_t> batches;
  std::vector<double> steps;
  for (const BatchResult& result : summary.batches) {
    if (!result.complete || result.reached == 0 || result.reached < result.seeds) continue;
    batches.push_back(result.batch);
    steps.push_back(result.steps.value);
  }
  if (batches.empty()) return;
  const auto rows = static_cast<std::int64_t>(batches.size());
  file.write("/batches/batch", std::span(&rows, 1), std::span<const std::int64_t>(batches));
  file.write("/batches/steps", std::span(&rows, 1), std::span<const double>(steps));
}

/// The numbers of trials.csv and curves.csv, a data set a column; texts are left to these.
void write_h5(const std::string& path, const Request& request, const Question& question, const Found& found,
              const Summary& summary) {
  h5::File file = h5::File::create(path);
  std::int64_t trials = 0;
  std::map<std::string, std::vector<double>> columns;
  std::vector<std::int64_t> trial_of_row;
  std::map<std::string, std::vector<double>> curves;
  for (const Trial& trial : summary.trials) {
    const auto at = found.records.find(trial.id);
    if (at == found.records.end()) continue;
    Record record = at->second;
    const std::int64_t number = trials++;
    const auto put = [&](const std::string& name, double value) { columns[name].push_back(value); };
    put("batch", static_cast<double>(trial.batch));
    put("point", static_cast<double>(trial.point));
    put("measured", trial.measured ? 1 : 0);
    put("seed", static_cast<double>(trial.seed));
    for (const auto& [name, value] : trial.settings)
      if (parse_number(value)) put(name, *parse_number(value));
    each_number(record, [&](const char* name, auto value) {
      put(column_of(name, question.metric), static_cast<double>(value));
    });
    const auto of_trial = found.curves.find(trial.id);
    if (of_trial == found.curves.end()) continue;
    for (const auto& row : of_trial->second.rows) {
      trial_of_row.push_back(number);
      for (std::size_t c = 0; c < row.size(); ++c) {
        auto& values = curves[of_trial->second.columns[c]];
        values.resize(trial_of_row.size() - 1, std::numeric_limits<double>::quiet_NaN());
        values.push_back(row[c]);
      }
    }
  }
  file.create_group("/trials");
  file.create_group("/curves");
  const auto write = [&](const std::string& name, std::vector<double> values, std::int64_t rows) {
    values.resize(static_cast<std::size_t>(rows), std::numeric_limits<double>::quiet_NaN());
    file.write(name, std::span(&rows, 1), std::span<const double>(values));
  };
  for (const auto& [name, values] : columns)
    if (static_cast<std::int64_t>(values.size()) == trials) write("/trials/" + name, values, trials);
  const auto rows = static_cast<std::int64_t>(trial_of_row.size());
  file.write("/curves/trial", std::span(&rows, 1), std::span<const std::int64_t>(trial_of_row));
  for (const auto& [name, values] : curves) write("/curves/" + name, values, rows);
  write_steps_to_goal(file, summary);
  file.set_attribute("/", "format", std::string("trainer-study"));
  file.set_attribute("/", "model", request.configuration.model);
  file.set_attribute("/", "metric", question.metric);
  file.set_attribute("/", "goal", question.goal);
  if (summary.critical && summary.critical->is_bounded()) {
    const Interval& critical = summary.critical->critical;
    file.set_attribute("/", "critical_batch",
                       std::vector<double>{critical.value, critical.low, critical.high});
  }
  file.close();
}

/// As status says; empty: the study is at its end, or nobody knows.
std::string why_not_complete(const std::string& folder) {
  std::ifstream file(folder + "/status");
  std::string line;
  if (!std::getline(file, line)) return "";
  try {
    const report::RunStatus status = report::parse_status_line(line);
    if (status.state == report::RunState::running) return "it runs, or was killed";
    if (status.state == report::RunState::finished) return "";
    return status.reason.empty() ? "it is not finished" : status.reason;
  } catch (const Error&) {  // the points tell what they tell
    return "";
  }
}

}  // namespace

bool holds_study(const std::string& folder) {
  std::error_code ignored;
  const fs::path path(folder);
  return fs::exists(path / "trials.csv", ignored) || fs::exists(path / kFingerprint, ignored);
}

std::string write_study_report(const Request& request, const std::string& folder, const std::string& page,
                               const std::string& figures) {
  if (request.kind == Kind::ranks) {
    std::vector<RankPoint> points;
    if (fs::exists(folder + "/trials.csv")) points = read_points(folder + "/trials.csv");
    require(!points.empty(), ErrorKind::data, folder, ": the study has no point that is measured yet");
    RankSummary summary = summarise_ranks(std::move(points));
    if (const std::string reason = why_not_complete(folder); !reason.empty())
      summary.advice.insert(summary.advice.begin(), not_complete(reason));
    return write_rank_page(summary, folder, page, figures);
  }
  Question question = question_of(request);
  std::vector<std::string> names;
  for (const Variable& variable : question.space.variables()) names.push_back(variable.name);
  const Found found = read_found(folder, names);
  require(!found.trials.empty(), ErrorKind::data, folder, ": the study has no trial that is done yet");
  question.metric = found.metric;
  question.aim.larger_is_better = train::larger_is_better(found.metric);
  if (request.kind == Kind::batch) {  // those that were begun
    std::set<std::int64_t> batches;
    for (const auto& [id, trial] : found.trials) batches.insert(trial.batch);
    question.batches.assign(batches.begin(), batches.end());
  }
  const Summary summary = summarise(question, found.records);
  // Of the batch sizes that were not begun the trials know nothing: the study itself said whether it is done.
  std::string reason = why_not_complete(folder);
  if (reason.empty() && !summary.complete())
    reason = text(summary.done, " of ", summary.trials.size(), " trials are done so far");
  return write_page(request, folder, page, figures, question, found, summary, reason);
}

void write_environment(const comm::Communicator& world, const Request& request,
                       const report::RunFolder* folder) {
  const std::vector<std::string> ranks =
      world.all_gather(text("rank ", world.rank(), " host ", comm::host_name(), " processors ",
                            comm::cpus_of_process(), " of ", comm::cpus_of_node(), " ",
                            comm::processor_model(), comm::bound_by_launcher() ? " bound" : " not bound"));
  comm::on_first_rank(world, [&] {
    std::string lines = text("command ", request.command, "\nranks ", world.size(), "\nthreads ",
                             request.threads, "\ntuning ", request.configuration.tuning, "\nMPI ", comm::mpi_library_version(), "\n");
    for (const std::string& rank : ranks) lines += rank + "\n";
    folder->write("environment.txt", lines);
  });
}

report::RunFolder open_study_folder(const Request& request, const std::string& fingerprint) {
  const std::string& out = request.configuration.out;
  const std::string config = request.config_text({});
  std::error_code ignored;
  const auto holds_one = [&] {
    return fs::exists(out + "/trials.csv", ignored) || fs::exists(out + "/config.ini", ignored);
  };
  if (!holds_one()) require_free(out);  // before the lock, which is a file
  report::RunFolder folder = report::RunFolder::take(out);
  if (holds_one()) {
    require(request.resume, ErrorKind::usage, "the folder ", out,
            " holds a study or a run already; go on with it by --resume, or choose another with --out");
    require(folder.has("config.ini"), ErrorKind::data, out, ": the study has no config.ini");
    require_settings(folder.file("config.ini"), folder.read("config.ini"));
    const std::string was = decisive(folder.read("config.ini")), now = decisive(config);
    require(was == now, ErrorKind::usage, "the study in ", out, " was begun with \"",
            first_line_missing(was, now), "\", here is \"", first_line_missing(now, was),
            "\"; give the same, or choose another folder with --out");
    require(!folder.has(kFingerprint) || folder.read(kFingerprint) == fingerprint + "\n", ErrorKind::data,
            "the study in ", out, " was begun with other data than --data ", request.configuration.data,
            "; give the same, or choose another folder with --out");
  } else {
    require_free(out);
    folder.write(kFingerprint, fingerprint + "\n");
    folder.write("config.ini", config);
  }
  folder.write_status({report::RunState::running, 0, 0, "", ""});
  return folder;
}

void finish_study(const Request& request, const report::RunFolder& folder, const Question& question,
                  const Found& found, const Summary& summary, const std::string& stopped,
                  const std::function<void()>& poll) {
  const bool complete = summary.complete();
  const std::string reason =
      complete ? text("all ", summary.done, " trials done")
               : text(stopped, " after ", summary.done, " of ", summary.trials.size(), " trials");
  write_h5(folder.file("study.h5"), request, question, found, summary);
  folder.write("summary.json", json_of(question, summary));
  const std::string note =
      write_page(request, folder.path(), folder.file("report.html"), folder.file("figures"), question, found,
                 summary, complete ? "" : reason, poll);
  folder.write_status({complete ? report::RunState::finished : report::RunState::stopped, complete ? 0 : 75,
                       summary.done, reason, ""});
  if (request.out == nullptr) return;
  std::string lines;
  if (!request.configuration.quiet) {
    lines = table_of(question, summary);
    if (!note.empty()) lines += "note: " + note + "\n";
    lines += text("report ", folder.file("report.html"), "\n");
  }
  if (complete)
    lines += text("done: study ", folder.path(), ", ", summary.done, " trials",
                  summary.critical && summary.critical->is_bounded()
                      ? ", critical batch size " + format_number(std::round(summary.critical->critical.value))
                      : "",
                  "\n");
  else
    lines += text("stopped: ", reason, "; go on with the same command and --resume\n");
  std::fputs(lines.c_str(), request.out);
  std::fflush(request.out);
}

}  // namespace trainer::study
