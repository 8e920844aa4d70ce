// Where the time of runs went.
#include <algorithm>
#include <cmath>
#include <functional>

#include "plain_text.h"
#include "run_sections.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

constexpr const char* kTimes[] = {"compute", "communicate", "wait", "read"};
constexpr const char* kTimeNames[] = {"compute", "communicate", "wait for the slowest rank", "read"};

/// Seconds of a kind in all rows.
double total(const RunFiles& run, const char* name) {
  double sum = 0;
  for (const double seconds : column(run.timing, name))
    if (std::isfinite(seconds)) sum += seconds;
  return sum;
}

double all_seconds(const RunFiles& run) {
  double sum = 0;
  for (const char* name : kTimes) sum += total(run, name);
  return sum;
}

/// Bars on each other: `of(kind)` are their heights.
std::vector<Series> stacked(const std::vector<double>& x,
                            const std::function<std::vector<double>(std::size_t)>& of) {
  std::vector<Series> series;
  std::vector<double> base(x.size(), 0);
  for (std::size_t kind = 0; kind < std::size(kTimes); ++kind) {
    const std::vector<double> heights = of(kind);
    Series bars{.label = kTimeNames[kind], .style = Style::bars, .look = {}, .x = x, .y = base, .low = base};
    for (std::size_t i = 0; i < x.size(); ++i) bars.y[i] += std::isfinite(heights[i]) ? heights[i] : 0;
    base = bars.y;
    series.push_back(std::move(bars));
  }
  return series;
}

Figure time_of_one(const RunFiles& run) {
  constexpr std::size_t kMostBars = 50;
  const std::vector<double> epochs = column(run.timing, "epoch");
  const std::size_t rows = epochs.size();
  const std::size_t bars = std::min(rows - 1, kMostBars);  // row 0 is before the first step
  const auto begin = [&](std::size_t bar) { return 1 + bar * (rows - 1) / bars; };
  std::vector<double> x;
  for (std::size_t bar = 0; bar < bars; ++bar) x.push_back(epochs[begin(bar + 1) - 1]);
  Figure figure{.stem = "time",
                .title = "Where the time of the steps went (rank 0)",
                .x = {.label = "epochs"},
                .y = {.label = bars < rows - 1 ? "time of the evaluations in a bar [s]"
                                               : "time up to an evaluation [s]",
                      .low = 0}};
  figure.series = stacked(x, [&](std::size_t kind) {
    const std::vector<double> seconds = column(run.timing, kTimes[kind]);
    std::vector<double> sums(bars, 0);
    for (std::size_t bar = 0; bar < bars; ++bar)
      for (std::size_t row = begin(bar); row < begin(bar + 1); ++row) sums[bar] += seconds[row];
    return sums;
  });
  return figure;
}

Figure time_of_several(const Runs& runs) {
  Figure figure{.stem = "time",
                .title = "Where the time of the steps went (rank 0)",
                .x = {.label = "run"},
                .y = {.label = "share of the time [%]", .low = 0, .high = 100}};
  std::vector<double> x;
  for (const RunFiles& run : runs) {
    x.push_back(static_cast<double>(x.size()));
    figure.x.names.push_back(run.name);
  }
  figure.series = stacked(x, [&](std::size_t kind) {
    std::vector<double> shares;
    for (const RunFiles& run : runs) {
      const double seconds = all_seconds(run);
      shares.push_back(seconds > 0 ? 100 * total(run, kTimes[kind]) / seconds : 0);
    }
    return shares;
  });
  return figure;
}

/// The middle of the paces between evaluations.
std::string median_pace(const RunFiles& run) {
  std::vector<double> paces = column(run.timing, "samples_per_second");
  std::erase_if(paces, [](double pace) { return !(pace > 0) || !std::isfinite(pace); });
  if (paces.empty()) return "";
  const auto middle = paces.begin() + std::ssize(paces) / 2;
  std::nth_element(paces.begin(), middle, paces.end());
  return short_number(std::round(*middle));
}

}  // namespace

void add_time(Page& page, const Runs& runs) {
  page.section("Time");
  const auto has_time = [](const RunFiles& run) {
    return run.timing && run.timing->rows() > 1 && all_seconds(run) > 0;
  };
  if (std::none_of(runs.begin(), runs.end(), has_time))
    return page.leave_out("There are no times in timing.csv yet: a row is written at each evaluation.");
  std::vector<std::vector<std::string>> rows;
  for (const RunFiles& run : runs) {
    std::vector<std::string> row = {run.name, median_pace(run)};
    const double seconds = all_seconds(run);
    for (const char* name : kTimes)
      row.push_back(seconds > 0 ? short_number(std::round(1000 * total(run, name) / seconds) / 10) : "");
    rows.push_back(std::move(row));
  }
  page.table({"run", "samples/s (median)", "compute %", "communicate %", "wait %", "read %"}, rows);
  page.figure(runs.size() == 1 ? time_of_one(runs.front()) : time_of_several(runs));
}

}  // namespace trainer::report
