#include "trainer/report/run_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "plain_text.h"
#include "run_sections.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::report {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostRuns = 64;
constexpr std::size_t kLongName = 18;

/// The last part of a path, of runs/latest that of the folder behind it.
std::string last_part(const std::string& folder) {
  std::error_code error;
  fs::path path = fs::canonical(folder, error);
  if (error) path = folder;
  return path.filename().empty() ? folder : path.filename().string();
}

/// Long names that begin alike lose what they share, up to a dash or the like.
std::vector<std::string> without_common_begin(std::vector<std::string> names) {
  const auto [least, most] = std::minmax_element(names.begin(), names.end());
  const std::size_t same = static_cast<std::size_t>(
      std::mismatch(least->begin(), least->end(), most->begin(), most->end()).first - least->begin());
  const std::size_t cut = least->substr(0, same).find_last_of("-_./") + 1;  // 0 where there is none
  const bool all_long =
      std::all_of(names.begin(), names.end(), [](const auto& name) { return name.size() > kLongName; });
  if (names.size() < 2 || !all_long || cut == least->size()) return names;
  for (std::string& name : names) name.erase(0, cut);
  return names;
}

/// A name for each folder: short where that tells them apart.
std::vector<std::string> names_of(const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) names.push_back(last_part(folder));
  const bool differ = std::set<std::string>(names.begin(), names.end()).size() == names.size();
  return without_common_begin(differ ? names : folders);
}

std::string state_text(const RunFiles& run) {
  if (!run.status) return "unknown: there is no status";
  const RunStatus& status = *run.status;
  if (status.state == RunState::running)
    return text("running, or killed, after step ", status.step, " or later");
  const char* const state = status.state == RunState::finished  ? "finished"
                            : status.state == RunState::stopped ? "stopped"
                                                                : "failed";
  return text(state, " after step ", status.step, status.reason.empty() ? "" : ": " + status.reason);
}

/// Six digits of a number.
std::string shortened(const std::string& value) {
  const std::optional<double> number = parse_number(value);
  if (!number || *number == std::round(*number)) return value;
  std::array<char, 40> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.6g", *number);
  return buffer.data();
}

/// result.json of all runs beside each other: a row for each member, in the order of the first run that has
/// it.
std::vector<std::vector<std::string>> result_rows(const Runs& runs) {
  std::vector<std::string> names;
  for (const RunFiles& run : runs)
    for (const auto& [name, value] : run.result)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  std::vector<std::vector<std::string>> rows = {{"state"}};
  for (const RunFiles& run : runs) rows.front().push_back(state_text(run));
  for (const std::string& name : names) {
    if (name == "reason" || name == "exit_code") continue;  // as the state
    rows.push_back({name});
    for (const RunFiles& run : runs) {
      const auto found = std::find_if(run.result.begin(), run.result.end(),
                                      [&](const auto& member) { return member.first == name; });
      rows.back().push_back(found == run.result.end() ? "" : shortened(found->second));
    }
  }
  return rows;
}

/// The newest evaluation of a run that has no result yet.
void add_newest_row(Page& page, const Runs& runs, const RunFiles& run) {
  if (!run.result.empty() || !run.metrics || run.metrics->rows() == 0) return;
  page.paragraph(text("The newest evaluation", of_run(runs, run), ":"));
  std::vector<std::string> cells;
  for (const std::string& column : run.metrics->columns()) cells.push_back(run.metrics->texts(column).back());
  page.table(run.metrics->columns(), {cells});
}

void add_summary(Page& page, const Runs& runs) {
  page.section("Summary");
  std::vector<std::string> header = {""};
  for (const RunFiles& run : runs) header.push_back(run.name);
  page.table(header, result_rows(runs));
  for (const RunFiles& run : runs) {
    if (!run.done.empty()) page.preformatted(run.done);
    add_newest_row(page, runs, run);
  }
  for (const RunFiles& run : runs)
    for (const std::string& trouble : run.troubles) page.paragraph("Left out: " + trouble);
}

/// `name = value` lines.
std::map<std::string, std::string> settings_of(const std::string& config) {
  std::map<std::string, std::string> settings;
  std::istringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find(" = ");
    if (equals != std::string::npos && !line.starts_with('#'))
      settings[line.substr(0, equals)] = line.substr(equals + 3);
  }
  return settings;
}

/// The settings in which runs differ.
void add_differences(Page& page, const Runs& runs) {
  std::map<std::string, std::vector<std::string>> all;
  std::vector<std::string> header = {"setting"};
  for (std::size_t r = 0; r < runs.size(); ++r) {
    header.push_back(runs[r].name);
    for (const auto& [name, value] : settings_of(runs[r].settings)) {
      all[name].resize(runs.size());
      all[name][r] = value;
    }
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, values] : all) {
    if (std::all_of(values.begin(), values.end(),
                    [&, &first = values.front()](const std::string& v) { return v == first; }))
      continue;
    rows.push_back({name});
    rows.back().insert(rows.back().end(), values.begin(), values.end());
  }
  if (rows.empty()) return page.paragraph("The runs have the same settings.");
  page.table(header, rows);
}

void add_texts(Page& page, const Runs& runs, const std::string& name, std::string RunFiles::*content) {
  for (const RunFiles& run : runs) {
    if ((run.*content).empty())
      page.paragraph(text("There is no ", name, of_run(runs, run), "."));
    else if (runs.size() == 1)
      page.preformatted(run.*content);
    else
      page.folded(text(name, of_run(runs, run)), run.*content);
  }
}

}  // namespace

std::string write_run_report(const std::vector<std::string>& folders, const std::string& path,
                             const std::string& figures) {
  require(!folders.empty() && folders.size() <= kMostRuns, ErrorKind::usage, "a report shows 1 to ",
          kMostRuns, " runs; ", folders.size(), " were given");
  const std::vector<std::string> names = names_of(folders);
  Runs runs;
  for (std::size_t i = 0; i < folders.size(); ++i) runs.push_back(read_run(folders[i], names[i]));
  Page page(runs.size() == 1 ? "Run " + names.front() : text(runs.size(), " runs"), path, figures);
  add_summary(page, runs);
  add_loss(page, runs);
  add_metrics(page, runs);
  add_learning_rate(page, runs);
  add_steps(page, runs);
  add_gradients(page, runs);
  add_noise_scale(page, runs);
  add_time(page, runs);
  add_confusion(page, runs);
  add_examples(page, runs);
  add_first_weights(page, runs);
  add_surface(page, runs);
  add_landscape(page, runs);
  page.section("Settings");
  if (runs.size() > 1) add_differences(page, runs);
  add_texts(page, runs, "config.ini", &RunFiles::settings);
  page.section("Environment");
  add_texts(page, runs, "environment.txt", &RunFiles::environment);
  return page.write();
}

void add_settings(Page& page, const std::string& folder) {
  for (const auto& [title, name] :
       {std::pair{"Settings", "config.ini"}, {"Environment", "environment.txt"}}) {
    page.section(title);
    const std::string content = text_of(folder, name);
    if (content.empty())
      page.paragraph(text("There is no ", name, "."));
    else
      page.preformatted(content);
  }
}

}  // namespace trainer::report
