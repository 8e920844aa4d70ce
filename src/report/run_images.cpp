// Samples and weights as images.
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

}  // namespace

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
    page.leave_out("There is no examples.h5: it is written at the end of the training of a classifier.");
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
    page.leave_out(
        "Shown when the inputs are images and the first layer is dense; best.h5 is written at the first "
        "evaluation.");
}

}  // namespace trainer::report
