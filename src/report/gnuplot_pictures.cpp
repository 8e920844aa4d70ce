// Small images beside and below each other.
#include <algorithm>
#include <cmath>

#include "gnuplot.h"
#include "gnuplot_words.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

constexpr int kTilePixels = 96;  // wide, with a gap between two
constexpr int kGapPixels = 14;
constexpr int kLinePixels = 16;
constexpr int kTitlePixels = 40;
constexpr int kScalePixels = 110;

/// Where pictures stand, in pixels of the page.
struct Layout {
  std::size_t columns = 1, rows = 1;
  int tile_height = kTilePixels, cell_height = 0, cell_width = kTilePixels + kGapPixels;
};

int caption_lines(const Pictures& pictures) {
  std::ptrdiff_t most = 0;
  for (const Picture& picture : pictures.list)
    if (!picture.caption.empty())
      most = std::max(most, 1 + std::count(picture.caption.begin(), picture.caption.end(), '\n'));
  return static_cast<int>(most);
}

Layout layout_of(const Pictures& pictures) {
  Layout layout;
  const std::size_t count = pictures.list.size();
  layout.columns = std::clamp<std::size_t>(
      static_cast<std::size_t>(std::ceil(std::sqrt(1.5 * static_cast<double>(count)))), 1, 8);
  layout.rows = (count + layout.columns - 1) / layout.columns;
  double aspect = 0;
  for (const Picture& picture : pictures.list)
    aspect = std::max(aspect, static_cast<double>(picture.height) / static_cast<double>(picture.width));
  layout.tile_height = static_cast<int>(kTilePixels * std::clamp(aspect, 0.1, 3.));
  layout.cell_height = layout.tile_height + kGapPixels + kLinePixels * caption_lines(pictures);
  return layout;
}

Range scale_of(const Pictures& pictures) {
  Range range{HUGE_VAL, -HUGE_VAL};
  for (const Picture& picture : pictures.list)
    for (const float value : picture.values)
      if (std::isfinite(value))
        range = {std::min<double>(range.low, value), std::max<double>(range.high, value)};
  if (range.low > range.high) range = {0, 1};
  if (pictures.symmetric) range.high = std::max({range.high, -range.low, 1e-30});
  if (pictures.symmetric) range.low = -range.high;
  if (range.low == range.high) range.high = range.low + 1;
  return range;
}

/// A line for each pixel: its centre and its values (colours: 0 to 255).
std::string pixels(const Picture& picture, const Range& scale, double left, double top, double height,
                   const std::string& name) {
  const double size_x = kTilePixels / static_cast<double>(picture.width);
  const double size_y = height / static_cast<double>(picture.height);
  std::string block = name + " << EOD\n";
  for (std::int64_t row = 0; row < picture.height; ++row)
    for (std::int64_t column = 0; column < picture.width; ++column) {
      block += text(gnuplot_number(left + size_x * (static_cast<double>(column) + 0.5)), " ",
                    gnuplot_number(top + size_y * (static_cast<double>(row) + 0.5)));
      for (std::int64_t c = 0; c < picture.channels; ++c) {
        const double value =
            picture.values[static_cast<std::size_t>((row * picture.width + column) * picture.channels + c)];
        block += " " + gnuplot_number(picture.channels == 1
                                          ? value
                                          : std::round(255 * (value - scale.low) / (scale.high - scale.low)));
      }
      block += "\n";
    }
  return block + "EOD\n";
}

std::string caption_commands(const std::string& caption, double x, double y) {
  std::string commands;
  for (std::size_t begin = 0; begin <= caption.size() && !caption.empty(); y += kLinePixels) {
    const std::size_t end = std::min(caption.find('\n', begin), caption.size());
    commands += text("set label ", gnuplot_text(caption.substr(begin, end - begin), 20), " at ",
                     gnuplot_number(x), ",", gnuplot_number(y), " center font ',9'\n");
    begin = end + 1;
  }
  return commands;
}

}  // namespace

std::string picture_commands(const Figure& figure) {
  const Pictures& pictures = *figure.pictures;
  const Layout layout = layout_of(pictures);
  const Range scale = scale_of(pictures);
  std::string commands, elements;
  for (std::size_t i = 0; i < pictures.list.size(); ++i) {
    const Picture& picture = pictures.list[i];
    const std::string name = text("$p", i);
    const double left = static_cast<double>(i % layout.columns) * layout.cell_width + kGapPixels / 2.;
    const double top = static_cast<double>(i / layout.columns) * layout.cell_height;
    commands += pixels(picture, scale, left, top, layout.tile_height, name) +
                caption_commands(picture.caption, left + kTilePixels / 2.,
                                 top + layout.tile_height + kLinePixels * 0.6);
    elements += text(elements.empty() ? "" : ", ", name,
                     picture.channels == 1 ? " using 1:2:3 with image" : " using 1:2:3:4:5 with rgbimage",
                     " notitle");
  }
  const int width = static_cast<int>(layout.columns) * layout.cell_width;
  const int height = static_cast<int>(layout.rows) * layout.cell_height;
  const bool has_scale = !pictures.label.empty();
  const Canvas canvas{std::max(width, 330) + kGapPixels + (has_scale ? kScalePixels : 0),
                      height + kTitlePixels};
  const auto share = [](int part, int whole) { return gnuplot_number(static_cast<double>(part) / whole); };
  commands += text(
      "unset border\nunset tics\nunset key\nset palette defined (0 '#000000', 1 '#FFFFFF')\nset cbrange [",
      gnuplot_number(scale.low), ":", gnuplot_number(scale.high), "]\nset xrange [0:", width,
      "]\nset yrange [", height, ":0]\nset lmargin at screen ", share(kGapPixels / 2, canvas.width),
      "\nset rmargin at screen ", share(kGapPixels / 2 + width, canvas.width), "\nset bmargin at screen 0\n",
      "set tmargin at screen ", share(height, canvas.height), "\nset label ", gnuplot_text(figure.title, 90),
      " at screen 0.5,", gnuplot_number(1 - 18. / canvas.height), " center\n");
  commands += has_scale ? text("set cbtics format '%g'\nset cblabel ", gnuplot_text(pictures.label), "\n")
                        : "unset colorbox\n";
  return commands + on_all_terminals(figure.stem, canvas, "plot " + elements + "\n");
}

}  // namespace trainer::report
