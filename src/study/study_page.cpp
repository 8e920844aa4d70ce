#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "rank_summary.h"
#include "shown.h"
#include "study_files.h"
#include "trainer/core/grammar.h"
#include "trainer/report/page.h"
#include "trainer/report/run_report.h"

namespace trainer::study {
namespace {

using report::Figure;
using report::Series;
using report::Style;

const std::string kBatchLabel = "batch size [rows]";

double number_of(const Settings& settings, const std::string& name) {
  for (const auto& [key, value] : settings)
    if (key == name) return parse_number(value).value_or(std::nan(""));
  return std::nan("");
}

void add_interval(Series& series, double x, const Interval& interval) {
  series.x.push_back(x);
  series.y.push_back(interval.value);
  series.low.push_back(interval.low);
  series.high.push_back(interval.high);
}

/// Ends the logarithmic y axis near the values: the interval of two seeds may reach over many decades, and
/// what lies beyond the axis is cut off. Intervals that stay near are seen whole.
void end_axis(Figure& figure) {
  constexpr double kFar = 20, kRoom = 1.2;
  double low = HUGE_VAL, high = 0;
  const auto reach = [&](double end, double value) {
    if (!(value > 0) || !std::isfinite(value)) return;
    low = std::min(low, std::isnan(end) ? value : std::max(end, value / kFar));
    high = std::max(high, std::isnan(end) ? value : std::min(end, value * kFar));
  };
  for (const Series& series : figure.series)
    for (std::size_t i = 0; i < series.y.size(); ++i)
      for (const auto* ends : {&series.y, &series.low, &series.high})
        if (!ends->empty()) reach((*ends)[i], series.y[i]);
  if (low > high) return;
  figure.y.low = low / kRoom;
  figure.y.high = high * kRoom;
}

Series curve_of(const std::string& label, Style style, const std::vector<double>& x,
                const std::function<double(double)>& y) {
  Series series;
  series.label = label;
  series.style = style;
  series.x = x;
  for (const double at : x) series.y.push_back(y(at));
  return series;
}

/// Batch sizes from the least to the greatest, close enough for a smooth curve.
std::vector<double> between(const Summary& summary) {
  std::vector<double> list;
  const auto least = static_cast<double>(summary.batches.front().batch);
  const auto most = static_cast<double>(summary.batches.back().batch);
  constexpr int kPoints = 60;
  for (int i = 0; i <= kPoints; ++i) list.push_back(least * std::pow(most / least, i / double{kPoints}));
  return list;
}

std::vector<Figure> goal_figures(const Question& question, const Summary& summary) {
  Figure steps{.stem = "steps_to_goal", .title = "Steps to " + question.goal};
  steps.x = {.label = kBatchLabel, .log = true};
  steps.y = {.label = "steps", .log = true};
  Figure samples{.stem = "rows_to_goal", .title = "Rows to " + question.goal};
  samples.x = steps.x;
  samples.y = {.label = "training rows seen", .log = true};
  Figure seconds{.stem = "seconds_to_goal", .title = "Time to " + question.goal};
  seconds.x = steps.x;
  seconds.y = {.label = "training time of one trial [s]", .log = true};
  Series measured{.label = "measured: geometric mean, 95 % interval", .style = Style::points};
  Series rows = measured, time = measured;
  for (const BatchResult& result : summary.batches) {
    if (result.reached == 0) continue;
    const auto batch = static_cast<double>(result.batch);
    add_interval(measured, batch, result.steps);
    add_interval(rows, batch, result.samples);
    add_interval(time, batch, result.seconds);
  }
  if (measured.x.empty()) return {};  // no seed reached it
  const double first = measured.x[0] * measured.y[0];
  steps.series.push_back(measured);
  if (summary.critical && summary.critical->is_bounded()) {
    const CriticalBatch& fit = *summary.critical;
    steps.series.push_back(curve_of(text("least steps * (1 + ", std::round(fit.critical.value), " / batch)"),
                                    Style::line, between(summary), [&](double b) { return fit.steps(b); }));
    samples.series.push_back(rows);
    samples.series.push_back(
        curve_of("the fit", Style::line, between(summary), [&](double b) { return fit.steps(b) * b; }));
  } else {
    samples.series.push_back(rows);
  }
  steps.series.push_back(curve_of("ideal: twice the batch, half the steps", Style::line, between(summary),
                                  [&](double b) { return first / b; }));
  steps.series.back().look = 3;
  seconds.series.push_back(time);
  for (Figure* figure : {&steps, &samples, &seconds}) end_axis(*figure);
  return {steps, samples, seconds};
}

/// The best value of `variable` at each batch size; of a rate beside the rules.
Figure best_value(const Summary& summary, const Variable& variable) {
  Figure figure{.stem = "best_" + variable.name, .title = "Best " + variable.name + " at each batch size"};
  figure.x = {.label = kBatchLabel, .log = true};
  figure.y = {.label = variable.name, .log = variable.kind != Variable::Kind::linear};
  Series best{.label = "best", .style = Style::points};
  for (const BatchResult& result : summary.batches) {
    if (!result.complete) continue;
    best.x.push_back(static_cast<double>(result.batch));
    best.y.push_back(number_of(result.best, variable.name));
  }
  figure.series.push_back(best);
  if (variable.name == "lr" && summary.rate) {
    const double p = summary.rate->exponent.value, factor = summary.rate->factor;
    const double middle = std::sqrt(best.x.front() * best.x.back());
    const double rate = factor * std::pow(middle, p);
    char exponent[16];
    std::snprintf(exponent, sizeof(exponent), "%.2f", p);
    figure.series.push_back(curve_of(text("fit: batch to the power ", exponent), Style::line,
                                     between(summary), [&](double b) { return factor * std::pow(b, p); }));
    figure.series.push_back(
        curve_of("linear rule", Style::line, between(summary), [&](double b) { return rate * b / middle; }));
    figure.series.back().look = 3;
    figure.series.push_back(curve_of("square-root rule", Style::line, between(summary),
                                     [&](double b) { return rate * std::sqrt(b / middle); }));
    figure.series.back().look = 2;
  }
  return figure;
}

/// What each point of the search came to, over one variable.
Figure searched(const Question& question, const Found& found, const Summary& summary,
                const Variable& variable) {
  const bool by_steps = question.aim.has_goal;
  Figure figure{
      .stem = "search_" + variable.name,
      .title = by_steps ? "The search: steps to " + question.goal : "The search: best " + question.metric};
  figure.x = {.label = variable.name,
              .log = variable.kind == Variable::Kind::log || variable.kind == Variable::Kind::whole};
  figure.y = {.label = by_steps ? "steps" : "best " + question.metric, .log = by_steps};
  if (variable.kind == Variable::Kind::list) figure.x.names = variable.values;
  for (const BatchResult& result : summary.batches) {
    Series series{.label = result.batch > 0 ? text(result.batch, " rows") : "", .style = Style::points};
    for (const Trial& trial : summary.trials) {
      const auto record = found.records.find(trial.id);
      if (trial.batch != result.batch || trial.measured || trial.rung >= 0 || record == found.records.end())
        continue;
      for (const auto& [name, value] : trial.settings) {
        if (name != variable.name) continue;
        const auto place = std::ranges::find(variable.values, value) - variable.values.begin();
        series.x.push_back(variable.is_range() ? parse_number(value).value_or(std::nan(""))
                                               : static_cast<double>(place));
        const Record& one = record->second;
        series.y.push_back(!by_steps       ? one.best
                           : one.reached() ? static_cast<double>(one.goal_step)
                                           : std::numeric_limits<double>::quiet_NaN());
      }
    }
    if (std::ranges::any_of(series.y, [](double y) { return std::isfinite(y); }))
      figure.series.push_back(std::move(series));
  }
  return figure;
}

/// The metric over rows, of the first measured trial at each batch size.
Figure curves(const Question& question, const Found& found, const Summary& summary) {
  const std::string metric =
      question.aim.has_goal ? question.goal.substr(0, question.goal.find_first_of(" <>")) : question.metric;
  Figure figure{.stem = "curves", .title = text("The best trials: ", metric)};
  figure.x = {.label = "training rows seen", .log = true};
  figure.y = {.label = metric};
  for (const BatchResult& result : summary.batches) {
    if (result.measured.empty()) continue;
    const auto at = found.curves.find(result.measured.front());
    if (at == found.curves.end()) continue;
    const auto column = std::ranges::find(at->second.columns, metric);
    if (column == at->second.columns.end()) continue;
    Series series{.label = result.batch > 0 ? text(result.batch, " rows") : "best", .style = Style::line};
    for (const auto& row : at->second.rows) {
      const auto samples = std::ranges::find(at->second.columns, "samples") - at->second.columns.begin();
      series.x.push_back(row[static_cast<std::size_t>(samples)]);
      series.y.push_back(row[static_cast<std::size_t>(column - at->second.columns.begin())]);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

/// What with_interval() wrote.
void explain_marks(report::Page& html, const std::vector<std::vector<std::string>>& rows) {
  const bool any = std::ranges::any_of(rows, [](const auto& row) {
    return std::ranges::any_of(row, [](const std::string& cell) { return cell.ends_with(" (?)"); });
  });
  if (any) html.paragraph("(?): the interval is too wide to say anything (two seeds that differ).");
}

/// What came out at each batch size.
void add_results(report::Page& html, const Question& question, const Summary& summary) {
  const bool of_goal = question.aim.has_goal;
  std::vector<std::string> header = {"batch size"};
  for (const Variable& variable : question.space.variables()) header.push_back("best " + variable.name);
  if (of_goal) header.insert(header.end(), {"steps to goal", "rows to goal"});
  header.push_back("best " + question.metric);
  if (of_goal && summary.critical) header.emplace_back("regime");
  std::vector<std::vector<std::string>> rows;
  for (const BatchResult& result : summary.batches) {
    if (!result.complete) continue;
    std::vector<std::string> row = {result.batch > 0 ? std::to_string(result.batch) : "all"};
    for (const auto& [name, value] : result.best) row.push_back(value);
    if (of_goal) row.insert(row.end(), {with_interval(result.steps), with_interval(result.samples)});
    row.push_back(with_interval(result.metric));
    if (of_goal && summary.critical)
      row.push_back(result.reached > 0 ? regime_of(summary, result.batch) : "-");
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return;
  html.table(header, rows);
  html.paragraph("In brackets: 95 % intervals over the seeds.");
  explain_marks(html, rows);
}

/// What it took; of a batch size that is not complete, how far it is.
void add_trials(report::Page& html, const Question& question, const Found& found, const Summary& summary) {
  const bool of_goal = question.aim.has_goal;
  std::vector<std::string> header = {"batch size", "trials done", of_goal ? "seeds at the goal" : "seeds"};
  if (of_goal) header.emplace_back("seconds to goal");
  header.emplace_back("noise scale [rows]");
  std::vector<std::vector<std::string>> rows;
  for (const BatchResult& result : summary.batches) {
    const auto done = std::ranges::count_if(summary.trials, [&](const Trial& trial) {
      return trial.batch == result.batch && found.records.contains(trial.id);
    });
    std::string trials = std::to_string(done);
    if (!result.complete) trials += text(" of ", result.trials, " or more");
    if (result.diverged > 0) trials += text(" (", result.diverged, " diverged)");
    const auto known = [&](const std::string& cell) { return result.complete ? cell : "-"; };
    std::vector<std::string> row = {result.batch > 0 ? std::to_string(result.batch) : "all", trials};
    row.push_back(known(of_goal ? text(result.reached, " of ", result.seeds) : std::to_string(result.seeds)));
    if (of_goal) row.push_back(known(three_digits(result.seconds.value)));
    row.push_back(known(with_interval(result.noise_scale)));
    rows.push_back(std::move(row));
  }
  html.table(header, rows);
  explain_marks(html, rows);
}

}  // namespace

std::string write_page(const Request& request, const std::string& folder, const std::string& page,
                       const std::string& figures, const Question& question, const Found& found,
                       const Summary& summary, const std::string& incomplete,
                       const std::function<void()>& poll) {
  const bool of_batches = request.kind == Kind::batch;
  report::Page html(of_batches ? "Batch size and convergence" : "Search for settings", page, figures);
  html.section("Results");
  if (!incomplete.empty()) html.paragraph(not_complete(incomplete));
  for (const std::string& sentence : summary.advice) html.paragraph(sentence);
  add_results(html, question, summary);
  add_trials(html, question, found, summary);
  const auto add = [&](Figure figure) {
    if (std::ranges::any_of(figure.series, [](const Series& one) { return !one.x.empty(); }))
      html.figure(std::move(figure));
  };
  if (of_batches && question.aim.has_goal) {
    html.section("Batch size and the goal");
    for (Figure& figure : goal_figures(question, summary)) add(std::move(figure));
  }
  if (!question.space.is_empty()) {
    html.section("The search");
    for (const Variable& variable : question.space.variables()) {
      if (of_batches && variable.is_range()) add(best_value(summary, variable));
      add(searched(question, found, summary, variable));
    }
  }
  html.section("Curves");
  add(curves(question, found, summary));
  report::add_settings(html, folder);
  return html.write(poll);
}

}  // namespace trainer::study
