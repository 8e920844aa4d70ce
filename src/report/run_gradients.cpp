// What goes on in the layers of a run.
#include <algorithm>
#include <cmath>

#include "plain_text.h"
#include "run_sections.h"
#include "trainer/core/error.h"

namespace trainer::report {

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
    page.leave_out(
        "There is no gradients.csv: train with --log-gradients to see gradients, updates and dead units by "
        "layer.");
}

}  // namespace trainer::report
