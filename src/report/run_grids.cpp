// Matrices and surfaces.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "plain_text.h"
#include "run_sections.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

/// Row and column sums of a confusion matrix, as they are told of each class.
std::vector<std::vector<std::string>> class_rows(const std::vector<std::string>& names,
                                                 const std::vector<double>& counts) {
  const std::size_t classes = names.size();
  const auto share = [](double part, double whole) {
    return whole > 0 ? short_number(std::round(1e4 * part / whole) / 1e4) : "";
  };
  std::vector<std::vector<std::string>> rows;
  for (std::size_t c = 0; c < classes; ++c) {
    double truth = 0, said = 0;
    for (std::size_t other = 0; other < classes; ++other) {
      truth += counts[c * classes + other];
      said += counts[other * classes + c];
    }
    const double hits = counts[c * classes + c];
    rows.push_back({names[c], short_number(truth), share(hits, truth), share(hits, said)});
  }
  return rows;
}

/// The counts [true, predicted]; empty unless the table is a whole matrix.
std::vector<double> confusion_counts(const CsvTable& table) {
  const auto classes = static_cast<std::size_t>(table.rows());
  if (classes == 0 || table.columns().size() != classes + 1) return {};
  std::vector<double> counts(classes * classes);
  for (std::size_t predicted = 0; predicted < classes; ++predicted) {
    const std::vector<double> column = table.numbers(predicted + 1);
    for (std::size_t truth = 0; truth < classes; ++truth) counts[truth * classes + predicted] = column[truth];
  }
  return counts;
}

std::vector<double> places(std::size_t count) {
  std::vector<double> result(count);
  std::iota(result.begin(), result.end(), 0.);
  return result;
}

/// Several levels between the least and the greatest value.
std::vector<double> levels_of(const std::vector<double>& values, bool log, int count) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  std::vector<double> levels;
  for (int i = 1; i <= count && low < high; ++i) {
    const double share = static_cast<double>(i) / (count + 1);
    levels.push_back(log ? low * std::pow(high / low, share) : low + (high - low) * share);
  }
  return levels;
}

/// Points of the data, those of each class alike.
std::vector<Series> points_by_class(const RunFiles& run, const Surface& surface) {
  constexpr std::size_t kMostPoints = 1500, kMostClasses = 16;
  std::vector<Series> series;
  const std::size_t every = surface.classes.size() / kMostPoints + 1;
  for (std::size_t i = 0; i < surface.classes.size(); i += every) {
    const std::string name = "class " + run.class_name(surface.classes[i]);
    auto found = std::find_if(series.begin(), series.end(), [&](const Series& s) { return s.label == name; });
    if (found == series.end() && series.size() == kMostClasses) continue;
    if (found == series.end())
      found = series.insert(found, {.label = name,
                                    .style = Style::points,
                                    .look = static_cast<int>(surface.classes[i] & 7),
                                    .x = {},
                                    .y = {}});
    found->x.push_back(surface.points[2 * i]);
    found->y.push_back(surface.points[2 * i + 1]);
  }
  std::sort(series.begin(), series.end(), [](const Series& a, const Series& b) { return a.label < b.label; });
  return series;
}

/// One value for each place: of a classifier of two classes the output for class 1, of more the class; else
/// the first output.
Grid surface_grid(const Surface& surface) {
  Grid grid{.x = surface.x, .y = surface.y, .values = {}};
  const auto outputs = static_cast<std::size_t>(surface.outputs);
  const bool of_classes = !surface.classes.empty();
  for (std::size_t i = 0; i < surface.output.size(); i += outputs) {
    const auto first = surface.output.begin() + static_cast<std::ptrdiff_t>(i);
    const auto last = first + surface.outputs;
    if (of_classes && outputs > 2) {
      grid.values.push_back(static_cast<double>(std::max_element(first, last) - first));
    } else {
      grid.values.push_back(of_classes && outputs == 2 ? first[1] : *first);
    }
  }
  grid.label =
      of_classes ? (outputs > 2 ? "class with the largest output" : "probability of class 1") : "output";
  if (of_classes && outputs <= 2) grid.contours = {0.5};
  if (!of_classes) grid.contours = levels_of(grid.values, false, 6);
  return grid;
}

}  // namespace

void add_confusion(Page& page, const Runs& runs) {
  page.section("Confusion matrix");
  bool any = false;
  for (const RunFiles& run : runs) {
    if (!run.confusion) continue;
    const std::vector<double> counts = confusion_counts(*run.confusion);
    if (counts.empty()) continue;
    any = true;
    const std::vector<std::string> names(run.confusion->columns().begin() + 1,
                                         run.confusion->columns().end());
    constexpr std::size_t kMostWithNumbers = 20, kMostInTable = 200;
    Figure figure{.stem = stem_of(runs, run, "confusion"),
                  .title = "Confusion matrix" + of_run(runs, run),
                  .x = {.label = "predicted class", .names = names},
                  .y = {.label = "true class", .reversed = true, .names = names}};
    figure.grid = Grid{.x = places(names.size()),
                       .y = places(names.size()),
                       .values = counts,
                       .label = "rows",
                       .log = true,
                       .numbers = names.size() <= kMostWithNumbers};
    page.figure(std::move(figure));
    if (names.size() <= kMostInTable)
      page.table({"class", "rows", "recall", "precision"}, class_rows(names, counts));
  }
  if (!any)
    return page.leave_out(
        "There is no confusion.csv: it is written at the end of the training of a classifier.");
  page.paragraph(
      "Counted with the best model on the test rows, or where there are none on the validation rows.");
}

void add_surface(Page& page, const Runs& runs) {
  page.section("Decision surface");
  bool any = false;
  for (const RunFiles& run : runs) {
    if (!run.surface) continue;
    any = true;
    Figure figure{.stem = stem_of(runs, run, "surface"),
                  .title = (run.surface->classes.empty() ? "Output of the model" : "Decision surface") +
                           of_run(runs, run),
                  .x = {.label = "first input"},
                  .y = {.label = "second input"}};
    figure.series = points_by_class(run, *run.surface);
    figure.grid = surface_grid(*run.surface);
    page.figure(std::move(figure));
  }
  if (!any) page.leave_out("Drawn of problems with two inputs, at the end of the training (surface.h5).");
}

void add_landscape(Page& page, const Runs& runs) {
  page.section("Loss landscape");
  bool any = false;
  for (const RunFiles& run : runs) {
    if (!run.landscape) continue;
    any = true;
    const Landscape& landscape = *run.landscape;
    const auto [low, high] = std::minmax_element(landscape.loss.begin(), landscape.loss.end());
    Figure figure{.stem = stem_of(runs, run, "landscape"),
                  .title = "Loss around the trained weights" + of_run(runs, run),
                  .x = {.label = "first direction"},
                  .y = {.label = "second direction"}};
    const bool log = *low > 0 && *high > 30 * *low;
    figure.grid = Grid{.x = landscape.alpha,
                       .y = landscape.beta,
                       .values = landscape.loss,
                       .label = "loss",
                       .log = log,
                       .contours = levels_of(landscape.loss, log, 8)};
    figure.series = {{.label = "trained weights", .style = Style::points, .look = 1, .x = {0}, .y = {0}}};
    page.figure(std::move(figure));
  }
  if (!any)
    return page.leave_out(
        "There is no landscape.csv: `trainer report RUN --loss-landscape` computes the loss on a plane "
        "around the "
        "trained weights.");
  page.paragraph(
      "The loss on a plane through the trained weights, spanned by two random directions that are as long as "
      "the "
      "weights, filter by filter (Li et al. 2018).");
}

}  // namespace trainer::report
