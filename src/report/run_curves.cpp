// Curves over a run: those of several runs are laid over each other.
#include <algorithm>
#include <cctype>
#include <cmath>

#include "plain_text.h"
#include "run_sections.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

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
    result.y.push_back(low < high ? sum / points : low);  // no digits that come from adding up
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

}  // namespace

void add_loss(Page& page, const Runs& runs) {
  page.section("Loss");
  if (!add_metric(page, runs, "loss")) page.leave_out(kNoEvaluation);
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
  constexpr std::size_t kMostMetrics = 50;
  std::vector<std::string> names;
  for (const RunFiles& run : runs) {
    if (!run.metrics) continue;
    for (const std::string& column : run.metrics->columns()) {
      const std::string name = column.starts_with("train_") ? column.substr(6)
                               : column.starts_with("val_") ? column.substr(4)
                                                            : "";
      if (!name.empty() && name != "loss" && names.size() < kMostMetrics &&
          std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
    }
  }
  bool any = false;
  for (const std::string& name : names) any = add_metric(page, runs, name) || any;
  if (!any)
    page.leave_out(names.empty() ? "There is no metric beside the loss; --metrics names some."
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
  if (figure.series.empty()) return page.leave_out(kNoEvaluation);
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
    return page.leave_out(
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
    return page.leave_out(
        "There is no value of the noise scale: it needs two shards (64 rows a batch, or --shards), 32 steps, "
        "and no batch norm over the whole batch.");
  figure.y.log = spans_decades(figure.series);
  page.figure(std::move(figure));
  page.paragraph(
      "About the batch size, in rows, beyond which larger batches save few steps (McCandlish et al. 2018).");
}

}  // namespace trainer::report
