// Matrices, images and surfaces, of each run by itself.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "plain_text.h"
#include "run_sections.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

/// How a row of inputs becomes an image.
struct ImageShape {
  std::int64_t height = 0, width = 0, channels = 1;
  bool channels_first = false;
  bool assumed = false;

  bool known() const { return height > 0; }
};

ImageShape shape_from(const std::vector<std::int64_t>& axes) {
  const auto is_channels = [](std::int64_t size) { return size == 1 || size == 3; };
  if (axes.size() == 2) return {axes[0], axes[1]};
  if (axes.size() != 3) return {};
  if (is_channels(axes[2])) return {axes[0], axes[1], axes[2]};
  if (is_channels(axes[0])) return {axes[1], axes[2], axes[0], true};
  return {};
}

/// By the axes that are known, else a square of many inputs; unknown when they are no image.
ImageShape image_shape(std::int64_t inputs, const std::vector<std::int64_t>& axes) {
  constexpr std::int64_t kLeast = 64, kMost = 65'536;
  const ImageShape told = shape_from(axes);
  const bool fits = told.known() && told.width > 0 && told.height <= kMost && told.width <= kMost &&
                    told.height * told.width * told.channels == inputs && inputs <= 3 * kMost;
  if (fits && std::min(told.height, told.width) > 1) return told;
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(inputs))));
  if (!axes.empty() || side * side != inputs || inputs < kLeast || inputs > kMost) return {};
  return {.height = side, .width = side, .assumed = true};
}

Picture picture_of(const float* values, const ImageShape& shape, std::string caption) {
  Picture picture{std::move(caption), shape.height, shape.width, shape.channels, {}};
  const std::int64_t pixels = shape.height * shape.width;
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel)
    for (std::int64_t c = 0; c < shape.channels; ++c)
      picture.values.push_back(
          values[shape.channels_first ? c * pixels + pixel : pixel * shape.channels + c]);
  return picture;
}

std::string assumption(const ImageShape& shape) {
  return shape.assumed ? text(" The inputs are taken for images of ", shape.height, " x ", shape.width, ".")
                       : "";
}

std::string two_digits(double value) {
  std::array<char, 40> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.2g", value);
  return buffer.data();
}

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

std::string of_run(const Runs& runs, const RunFiles& run) {
  return runs.size() == 1 ? "" : " of " + run.name;
}

std::string stem_of(const Runs& runs, const RunFiles& run, const std::string& stem) {
  return runs.size() == 1 ? stem : text(stem, "-", &run - runs.data() + 1);
}

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
  page.paragraph(
      any ? "Counted with the best model on the test rows, or where there are none on the validation rows."
          : "There is no confusion.csv: it is written at the end of the training of a classifier.");
}

void add_examples(Page& page, const Runs& runs) {
  page.section("Worst-classified samples");
  bool any = false;
  for (const RunFiles& run : runs) {
    if (!run.examples) continue;
    any = true;
    const Examples& examples = *run.examples;
    std::vector<std::size_t> order(examples.row.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return examples.loss[a] > examples.loss[b]; });
    constexpr std::size_t kMost = 32;
    order.resize(std::min(order.size(), kMost));
    const ImageShape shape = image_shape(examples.features, examples.shape);
    Pictures pictures;
    std::vector<std::vector<std::string>> rows;
    for (const std::size_t i : order) {
      const std::string truth = run.class_name(examples.target[i]),
                        said = run.class_name(examples.predicted[i]);
      rows.push_back({std::to_string(examples.row[i]), truth, said, short_number(examples.probability[i]),
                      short_number(examples.loss[i])});
      if (shape.known())
        pictures.list.push_back(
            picture_of(examples.inputs.data() + static_cast<std::int64_t>(i) * examples.features, shape,
                       text("is ", truth, "\nsaid ", said, "\nrow ", examples.row[i], ", p ",
                            two_digits(examples.probability[i]))));
    }
    if (shape.known())
      page.figure({.stem = stem_of(runs, run, "worst_samples"),
                   .title = "Worst-classified samples" + of_run(runs, run),
                   .pictures = std::move(pictures)});
    page.paragraph(text("The rows", of_run(runs, run),
                        " with the largest loss, the worst first; p is the probability of the true class.",
                        shape.known() ? assumption(shape) : ""));
    if (!shape.known()) page.table({"row", "true class", "predicted", "p of the true class", "loss"}, rows);
  }
  if (!any)
    page.paragraph("There is no examples.h5: it is written at the end of the training of a classifier.");
}

void add_first_weights(Page& page, const Runs& runs) {
  page.section("First-layer weights");
  bool any = false;
  for (const RunFiles& run : runs) {
    if (!run.first_weights) continue;
    const auto units = run.first_weights->shape[0], inputs = run.first_weights->shape[1];
    const ImageShape shape =
        image_shape(inputs, run.examples ? run.examples->shape : std::vector<std::int64_t>());
    if (!shape.known()) continue;
    any = true;
    constexpr std::int64_t kMost = 32;
    Pictures pictures{.list = {}, .label = shape.channels == 1 ? "weight" : "", .symmetric = true};
    for (std::int64_t unit = 0; unit < std::min(units, kMost); ++unit)
      pictures.list.push_back(
          picture_of(run.first_weights->values.data() + unit * inputs, shape, text("unit ", unit)));
    page.figure({.stem = stem_of(runs, run, "first_weights"),
                 .title = "Weights of the first layer" + of_run(runs, run),
                 .pictures = std::move(pictures)});
    page.paragraph(text("What each unit of ", run.first_weights->path, " in best.h5", of_run(runs, run),
                        " sees, ", std::min(units, kMost), " of ", units,
                        " units: grey is zero, white positive, black negative.", assumption(shape)));
  }
  if (!any)
    page.paragraph(
        "Shown when the inputs are images and the first layer is dense; best.h5 is written at the first "
        "evaluation.");
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
  if (!any) page.paragraph("Drawn of problems with two inputs, at the end of the training (surface.h5).");
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
  page.paragraph(any ? "The loss on a plane through the trained weights, spanned by two random directions "
                       "that are as long as the weights, filter by filter (Li et al. 2018)."
                     : "There is no landscape.csv: --loss-landscape computes the loss on a plane around the "
                       "trained weights.");
}

}  // namespace trainer::report
