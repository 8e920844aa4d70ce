#include <algorithm>
#include <cmath>
#include <functional>

#include "rank_summary.h"
#include "trainer/core/error.h"
#include "trainer/report/page.h"
#include "trainer/report/run_report.h"

namespace trainer::study {
namespace {

using report::Figure;
using report::Series;
using report::Style;
using Value = std::function<double(const RankPoint&)>;

const std::string kRanks = "ranks";

struct Kind {
  std::string name;
  int look;
};
const Kind kKinds[] = {{"strong", 0}, {"weak", 1}};

double rate_of(const RankPoint& point) { return point.samples_per_second; }

bool has(const RankSummary& summary, const std::string& kind, bool predicted) {
  return std::ranges::any_of(summary.points,
                             [&](const RankPoint& p) { return p.kind == kind && p.predicted == predicted; });
}

Series series_of(const RankSummary& summary, const std::string& kind, bool predicted, const Value& value) {
  Series series;
  for (const RankPoint& point : summary.points) {
    if (point.kind != kind || point.predicted != predicted) continue;
    series.x.push_back(static_cast<double>(point.ranks));
    series.y.push_back(value(point));
  }
  return series;
}

/// A line of what was measured; dashed from its end on, what is predicted.
void add_curves(Figure& figure, const RankSummary& summary, const Kind& kind, const std::string& label,
                const Value& value) {
  Series measured = series_of(summary, kind.name, false, value);
  if (measured.x.empty()) return;
  Series predicted = series_of(summary, kind.name, true, value);
  measured.label = label + "measured";
  measured.style = Style::line_points;
  measured.look = kind.look;
  if (!predicted.x.empty()) {
    predicted.x.insert(predicted.x.begin(), measured.x.back());
    predicted.y.insert(predicted.y.begin(), measured.y.back());
    predicted.label = label + "predicted";
    predicted.style = Style::dashed;
    predicted.look = kind.look;
  }
  figure.series.push_back(std::move(measured));
  if (!predicted.x.empty()) figure.series.push_back(std::move(predicted));
}

/// Numbers of ranks as they are, not as powers of ten.
report::Axis ranks_axis() { return {.label = kRanks, .log = true}; }

Figure throughput(const RankSummary& summary, const Kind& kind) {
  const auto& first =
      *std::ranges::find_if(summary.points, [&](const RankPoint& p) { return p.kind == kind.name; });
  Figure figure{.stem = "throughput_" + kind.name,
                .title = kind.name == "strong"
                             ? text("Strong scaling: ", first.batch, " rows a step")
                             : text("Weak scaling: ", first.batch, " rows a rank and step")};
  figure.x = ranks_axis();
  figure.y = {.label = "training rows a second", .log = true};
  add_curves(figure, summary, kind, "", rate_of);
  Series ideal{.label = "ideal: so many times one rank", .style = Style::line, .look = 3};
  for (const RankPoint& point : summary.points) {
    if (point.kind != kind.name) continue;
    ideal.x.push_back(static_cast<double>(point.ranks));
    ideal.y.push_back(first.samples_per_second * static_cast<double>(point.ranks));
  }
  if (ideal.x.size() > 1) figure.series.push_back(std::move(ideal));
  return figure;
}

Figure efficiency(const RankSummary& summary) {
  Figure figure{.stem = "efficiency", .title = "Rows a second of a rank, against one rank alone"};
  figure.x = ranks_axis();
  figure.y = {.label = "efficiency", .low = 0};
  for (const Kind& kind : kKinds)
    add_curves(figure, summary, kind, kind.name + ", ", [](const RankPoint& p) { return p.efficiency; });
  return figure;
}

/// Where the seconds of a step go, bars on each other.
Figure time_split(const RankSummary& summary, const Kind& kind) {
  Figure figure{.stem = "time_" + kind.name,
                .title = "Where the time of a step goes, " + kind.name + " scaling (mean over the ranks)"};
  figure.x = {.label = kRanks};
  figure.y = {.label = "time of a step [ms]", .low = 0};
  const std::pair<const char*, double RankPoint::*> parts[] = {{"compute", &RankPoint::compute},
                                                               {"communicate", &RankPoint::communicate},
                                                               {"wait for the slowest", &RankPoint::wait},
                                                               {"read", &RankPoint::read}};
  std::vector<double> x, base;
  for (const RankPoint& point : summary.points) {
    if (point.kind != kind.name || point.predicted) continue;
    x.push_back(static_cast<double>(x.size()));
    figure.x.names.push_back(std::to_string(point.ranks));
    base.push_back(0);
  }
  for (const auto& [name, member] : parts) {
    const Series heights =
        series_of(summary, kind.name, false, [&](const RankPoint& p) { return 1000 * p.*member; });
    Series bars{.label = name, .style = Style::bars, .x = x, .y = base, .low = base};
    for (std::size_t i = 0; i < x.size(); ++i) bars.y[i] += heights.y[i];
    base = bars.y;
    figure.series.push_back(std::move(bars));
  }
  return figure;
}

/// The model beside what it was fitted to.
Figure exchange(const RankSummary& summary) {
  Figure figure{.stem = "communicate", .title = "Time of the exchange in a step"};
  figure.x = ranks_axis();
  figure.y = {.label = "time of a step [ms]", .low = 0};
  for (const Kind& kind : kKinds) {
    Series measured =
        series_of(summary, kind.name, false, [](const RankPoint& p) { return 1000 * p.communicate; });
    if (measured.x.empty()) continue;
    measured.label = kind.name + ", measured";
    measured.style = Style::points;
    measured.look = kind.look;
    const Value model = [&](const RankPoint& p) {
      return 1000 * summary.model->communicate({.rows = 0, .messages = p.messages, .bytes = p.bytes});
    };
    Series fit = series_of(summary, kind.name, false, model),
           beyond = series_of(summary, kind.name, true, model);
    fit.x.insert(fit.x.end(), beyond.x.begin(), beyond.x.end());
    fit.y.insert(fit.y.end(), beyond.y.begin(), beyond.y.end());
    fit.label = kind.name + (beyond.x.empty() ? ", model" : ", model and prediction");
    fit.style = Style::dashed;
    fit.look = kind.look + 2;  // other marks than those of what was measured
    figure.series.push_back(std::move(measured));
    figure.series.push_back(std::move(fit));
  }
  return figure;
}

std::vector<Figure> goal_figures(const RankSummary& summary) {
  const auto dashed = [&](const std::string& label, const Value& value) {
    Series series = series_of(summary, "goal", true, value);
    series.label = label;
    series.style = Style::dashed;
    series.look = 0;
    return series;
  };
  Figure time{.stem = "time_to_goal", .title = "Time to the goal of the batch study, predicted"};
  time.x = ranks_axis();
  time.y = {.label = "training time [s]", .log = true};
  time.series.push_back(dashed("the best batch size, predicted", &RankPoint::seconds_to_goal));
  Series ideal{
      .label = "ideal: one rank's time, shared", .style = Style::line, .look = 3, .x = time.series[0].x};
  for (const double n : ideal.x) ideal.y.push_back(time.series[0].y.front() / n);
  time.series.push_back(std::move(ideal));
  Figure batch{.stem = "batch_to_goal", .title = "The batch size that is soonest at the goal, predicted"};
  batch.x = ranks_axis();
  batch.y = {.label = "batch size [rows]", .log = true};
  batch.series.push_back(dashed("", [](const RankPoint& p) { return static_cast<double>(p.batch); }));
  return {time, batch};
}

void add_table(report::Page& html, const Rows& rows) { html.table(rows[0], {rows.begin() + 1, rows.end()}); }

}  // namespace

std::string write_rank_page(const RankSummary& summary, const std::string& folder, const std::string& page,
                            const std::string& figures, const std::function<void()>& poll) {
  report::Page html("Speed and the number of ranks", page, figures);
  html.section("Results");
  for (const std::string& sentence : summary.advice) html.paragraph(sentence);
  add_table(html, speed_table(summary));
  html.paragraph(
      "Times are means over the steps and ranks of the round with the median time; the spread is the "
      "greatest less "
      "the least of the rounds, over the median. Rows marked as predicted were not measured.");
  html.section("Throughput");
  for (const Kind& kind : kKinds)
    if (has(summary, kind.name, false)) html.figure(throughput(summary, kind));
  html.figure(efficiency(summary));
  html.section("Where the time goes");
  html.paragraph(
      "Shares of a step, means over the ranks; what is predicted tells waiting and reading not from "
      "computing.");
  add_table(html, time_table(summary));
  for (const Kind& kind : kKinds)
    if (has(summary, kind.name, false)) html.figure(time_split(summary, kind));
  html.section("Model and prediction");
  if (summary.model) {
    html.paragraph(
        "Seconds of a step = fixed + seconds a row x rows of the rank that has most + seconds a message x "
        "messages + seconds a byte x bytes that a rank sends; least squares of relative errors over the "
        "points of two "
        "ranks or more, no part below zero.");
    const ScalingModel& model = *summary.model;
    char fixed[32], row[32], message[32], byte[32];
    std::snprintf(fixed, sizeof(fixed), "%.3g ms", 1e3 * model.together.fixed);
    std::snprintf(row, sizeof(row), "%.3g us", 1e6 * model.together.per_row);
    std::snprintf(message, sizeof(message), "%.3g us", 1e6 * model.latency);
    std::snprintf(byte, sizeof(byte), "%.3g ns", 1e9 * model.per_byte);
    html.table({"fixed", "a row", "a message (alpha)", "a byte (beta)"}, {{fixed, row, message, byte}});
    html.figure(exchange(summary));
  } else {
    html.paragraph("There is no model: only one rank was measured.");
  }
  if (has(summary, "goal", true)) {
    html.section("Time to the goal");
    html.paragraph(
        "At each number of ranks the batch size of the batch study that is soonest at its goal: its steps to "
        "the "
        "goal times the time of a step by the model. None of it was measured.");
    add_table(html, goal_table(summary));
    for (Figure& figure : goal_figures(summary)) html.figure(std::move(figure));
  }
  report::add_settings(html, folder);
  return html.write(poll);
}

}  // namespace trainer::study
