// Curves over a run: those of several runs are laid over each other.
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "plain_text.h"
#include "run_sections.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

/// A column of a table; empty where there is none.
std::vector<double> column(const std::optional<CsvTable>& table, const std::string& name) {
  return table && table->has(name) ? table->numbers(name) : std::vector<double>();
}

bool any_finite(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

/// Whether curves are better seen on a logarithmic axis.
bool spans_decades(const std::vector<Series>& series) {
  double low = HUGE_VAL, high = 0;
  for (const Series& curve : series)
    for (const double y : curve.y) {
      if (!std::isfinite(y)) continue;
      low = std::min(low, y);
      high = std::max(high, y);
    }
  return low > 0 && high > 30 * low;
}

constexpr std::size_t kMostRaw = 1000;

/// At most some hundred points: where there are more, the means of equal shares with the least and the
/// greatest of each.
Series thinned(Series curve) {
  constexpr std::size_t kMost = 250;
  const std::size_t count = curve.x.size();
  if (count <= kMostRaw) return curve;
  Series result{.label = curve.label, .style = curve.style, .look = curve.look, .x = {}, .y = {}};
  for (std::size_t i = 0; i < kMost; ++i) {
    double sum_x = 0, sum = 0, points = 0, low = HUGE_VAL, high = -HUGE_VAL;
    for (std::size_t j = i * count / kMost; j < (i + 1) * count / kMost; ++j) {
      if (!std::isfinite(curve.y[j])) continue;
      sum_x += curve.x[j];
      sum += curve.y[j];
      ++points;
      low = std::min(low, curve.y[j]);
      high = std::max(high, curve.y[j]);
    }
    if (points == 0) continue;
    result.x.push_back(sum_x / points);
    result.y.push_back(sum / points);
    result.low.push_back(low);
    result.high.push_back(high);
  }
  return result;
}

std::string label_of(const Runs& runs, const RunFiles& run, const std::string& what) {
  if (runs.size() == 1) return what;
  return run.name + (what.empty() ? "" : ", " + what);
}

/// One column over the epochs, for each run that has values of it.
std::vector<Series> over_epochs(const Runs& runs, const std::string& name, Style style,
                                const std::string& label) {
  std::vector<Series> series;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    Series curve{.label = label_of(runs, runs[r], label),
                 .style = style,
                 .look = {},
                 .x = column(runs[r].metrics, "epoch"),
                 .y = column(runs[r].metrics, name)};
    if (curve.x.size() != curve.y.size() || !any_finite(curve.y)) continue;
    if (runs.size() > 1) curve.look = static_cast<int>(r);
    series.push_back(std::move(curve));
  }
  return series;
}

void join(std::vector<Series>& all, std::vector<Series> more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

/// A figure of train_NAME and val_NAME; false where no run has values.
bool add_metric(Page& page, const Runs& runs, const std::string& name) {
  Figure figure{.stem = name, .title = name, .x = {.label = "epochs"}, .y = {.label = name}};
  figure.title.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(name.front())));
  std::replace_if(
      figure.stem.begin(), figure.stem.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  figure.series = over_epochs(runs, "train_" + name, Style::dashed, "training rows");
  join(figure.series, over_epochs(runs, "val_" + name, Style::line_points, "validation rows"));
  if (figure.series.empty()) return false;
  figure.y.log = spans_decades(figure.series);
  page.figure(std::move(figure));
  return true;
}

const char* const kNoEvaluation =
    "There is no evaluation in metrics.csv yet: a row is written after each `--evaluate-every` (1 epoch).";

/// Curves of steps.csv, of each run that has it.
bool add_step_figure(Page& page, const Runs& runs, const std::string& name, Figure figure) {
  for (std::size_t r = 0; r < runs.size(); ++r) {
    Series curve{.label = label_of(runs, runs[r], ""),
                 .style = Style::line,
                 .look = static_cast<int>(r),
                 .x = column(runs[r].steps, "step"),
                 .y = column(runs[r].steps, name)};
    if (curve.x.size() == curve.y.size() && any_finite(curve.y))
      figure.series.push_back(thinned(std::move(curve)));
  }
  if (figure.series.empty()) return false;
  figure.y.log = spans_decades(figure.series);
  page.figure(std::move(figure));
  return true;
}

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

void add_loss(Page& page, const Runs& runs) {
  page.section("Loss");
  if (!add_metric(page, runs, "loss")) page.paragraph(kNoEvaluation);
  Figure penalty{.stem = "penalty",
                 .title = "Penalty on the weights, which the loss leaves out",
                 .x = {.label = "epochs"},
                 .y = {.label = "penalty"}};
  penalty.series = over_epochs(runs, "penalty", Style::line_points, "");
  const bool any = std::any_of(penalty.series.begin(), penalty.series.end(), [](const Series& curve) {
    return std::any_of(curve.y.begin(), curve.y.end(), [](double y) { return y > 0; });
  });
  if (any) page.figure(std::move(penalty));
}

void add_metrics(Page& page, const Runs& runs) {
  page.section("Metrics");
  std::vector<std::string> names;
  for (const RunFiles& run : runs) {
    if (!run.metrics) continue;
    for (const std::string& column : run.metrics->columns()) {
      const std::string name = column.starts_with("train_") ? column.substr(6)
                               : column.starts_with("val_") ? column.substr(4)
                                                            : "";
      if (!name.empty() && name != "loss" && std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
    }
  }
  bool any = false;
  for (const std::string& name : names) any = add_metric(page, runs, name) || any;
  if (!any)
    page.paragraph(names.empty() ? "There is no metric beside the loss; --metrics names some."
                                 : kNoEvaluation);
}

void add_learning_rate(Page& page, const Runs& runs) {
  page.section("Learning rate");
  Figure figure{.stem = "learning_rate",
                .title = "Learning rate",
                .x = {.label = "epochs"},
                .y = {.label = "learning rate"}};
  const bool by_step = std::all_of(runs.begin(), runs.end(),
                                   [](const RunFiles& run) { return any_finite(column(run.steps, "lr")); });
  if (by_step) {
    figure.x.label = "step";
    add_step_figure(page, runs, "lr", std::move(figure));
    return;
  }
  figure.series = over_epochs(runs, "lr", Style::line_points, "");
  for (Series& curve : figure.series) {  // before the first step there was no rate
    curve.x.erase(curve.x.begin());
    curve.y.erase(curve.y.begin());
  }
  std::erase_if(figure.series, [](const Series& curve) { return curve.x.empty(); });
  if (figure.series.empty()) return page.paragraph(kNoEvaluation);
  figure.y.log = spans_decades(figure.series);
  page.figure(std::move(figure));
}

void add_steps(Page& page, const Runs& runs) {
  page.section("Steps");
  const bool any = add_step_figure(page, runs, "loss",
                                   {.stem = "step_loss",
                                    .title = "Loss of the batch of each step",
                                    .x = {.label = "step"},
                                    .y = {.label = "loss"}});
  add_step_figure(page, runs, "grad_norm",
                  {.stem = "step_gradient_norm",
                   .title = "Norm of the gradient of each step",
                   .x = {.label = "step"},
                   .y = {.label = "norm of the gradient"}});
  if (!any)
    return page.paragraph(
        "There is no steps.csv: train with --log-steps to see the loss and the gradient's norm of every "
        "step.");
  for (const RunFiles& run : runs)
    if (run.steps && run.steps->rows() > static_cast<std::int64_t>(kMostRaw))
      page.paragraph(text("Curves", of_run(runs, run),
                          " are means over steps, with the least and the greatest value as a band",
                          run.steps->every() > 1 ? text(", of every ", run.steps->every(), "th step") : "",
                          "."));
}

void add_noise_scale(Page& page, const Runs& runs) {
  page.section("Noise scale");
  Figure figure{.stem = "noise_scale",
                .title = "Gradient noise scale",
                .x = {.label = "epochs"},
                .y = {.label = "noise scale [rows]"}};
  figure.series = over_epochs(runs, "noise_scale", Style::line_points, "");
  if (figure.series.empty())
    return page.paragraph(
        "There is no value of the noise scale: it needs two shards (64 rows a batch, or --shards), 32 steps, "
        "and no batch norm over the whole batch.");
  figure.y.log = spans_decades(figure.series);
  page.figure(std::move(figure));
  page.paragraph(
      "About the batch size, in rows, beyond which larger batches save few steps (McCandlish et al. 2018).");
}

void add_time(Page& page, const Runs& runs) {
  page.section("Time");
  const auto has_time = [](const RunFiles& run) {
    return run.timing && run.timing->rows() > 1 && all_seconds(run) > 0;
  };
  if (std::none_of(runs.begin(), runs.end(), has_time))
    return page.paragraph("There are no times in timing.csv yet: a row is written at each evaluation.");
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

void add_gradients(Page& page, const Runs& runs) {
  struct Quantity {
    const char *column, *label, *title;
    bool log;
  };
  static constexpr Quantity kQuantities[] = {
      {"gradient_norm", "norm of the gradient", "Norm of the gradient by layer", true},
      {"update_ratio", "norm of the update / norm of the weights", "Relative size of the updates by layer",
       true},
      {"mean_delta", "mean |delta|", "Mean size of the errors sent back, by dense layer", true},
      {"dead_share", "share of units without any output", "Dead units by relu layer", false}};
  constexpr std::size_t kMostLayers = 16;
  page.section("Gradient health");
  bool any = false;
  for (const RunFiles& run : runs) {
    if (!run.gradients || !run.gradients->has("layer")) continue;
    const std::vector<std::string>& layers = run.gradients->texts("layer");
    const std::vector<double> steps = column(run.gradients, "step");
    for (const Quantity& quantity : kQuantities) {
      const std::vector<double> values = column(run.gradients, quantity.column);
      Figure figure{.stem = stem_of(runs, run, quantity.column),
                    .title = quantity.title + of_run(runs, run),
                    .x = {.label = "step", .log = true},
                    .y = {.label = quantity.label, .log = quantity.log}};
      std::size_t left_out = 0;
      for (std::size_t i = 0; i < std::min(values.size(), steps.size()); ++i) {
        if (!std::isfinite(values[i])) continue;
        auto curve = std::find_if(figure.series.begin(), figure.series.end(),
                                  [&](const Series& s) { return s.label == layers[i]; });
        if (curve == figure.series.end() && figure.series.size() == kMostLayers) {
          ++left_out;
          continue;
        }
        if (curve == figure.series.end())
          curve = figure.series.insert(
              curve, {.label = layers[i], .style = Style::line_points, .look = {}, .x = {}, .y = {}});
        curve->x.push_back(steps[i]);
        curve->y.push_back(values[i]);
      }
      if (figure.series.empty()) continue;
      any = true;
      if (!quantity.log) figure.y.low = 0;
      page.figure(std::move(figure));
      if (left_out > 0)
        page.paragraph(
            text("Of more layers, the first ", kMostLayers, " of a step are shown; gradients.csv has all."));
    }
  }
  if (!any)
    page.paragraph(
        "There is no gradients.csv: train with --log-gradients to see gradients, updates and dead units by "
        "layer.");
}

}  // namespace trainer::report
