// Curves, on a grid of values or alone.
#include <algorithm>
#include <array>
#include <cmath>

#include "gnuplot.h"
#include "gnuplot_words.h"
#include "plain_text.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

// Okabe and Ito's colours, which are told apart with any colour vision; each with dashes and a marker of its
// own.
constexpr std::array<const char*, 8> kColours = {"#0072B2", "#D55E00", "#009E73", "#000000",
                                                 "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"};
constexpr std::array<const char*, 8> kDashes = {"solid",  "(12,5)",    "(3,4)",          "(12,4,3,4)",
                                                "(20,5)", "(6,3,6,9)", "(14,4,3,4,3,4)", "(2,8)"};
constexpr std::array<int, 8> kMarkers = {7, 5, 9, 4, 6, 8, 2, 13};
constexpr std::array<int, 8> kFills = {3, 4, 1, 5, 2, 6, 7, 0};

template <class T>
T of_look(const std::array<T, 8>& choices, std::size_t look) {
  return choices[look % choices.size()];
}

/// Whether a point can be shown.
bool has_place(const Figure& figure, double x, double y) {
  return can_be_shown(x, figure.x.log) && can_be_shown(y, figure.y.log);
}

/// Half the width of a bar: of the smallest distance between two.
double half_width(const Series& series) {
  std::vector<double> places = series.x;
  std::sort(places.begin(), places.end());
  double least = HUGE_VAL;
  for (std::size_t i = 1; i < places.size(); ++i)
    if (places[i] > places[i - 1]) least = std::min(least, places[i] - places[i - 1]);
  return 0.4 * (std::isfinite(least) ? least : 1);
}

/// x, y, then low and high (bars: half the sizes); a line for each point, an empty one where the curve is
/// broken. Empty without any point.
std::string data_block(const Figure& figure, const Series& series, const Range& y_range,
                       const std::string& name) {
  std::string block = name + " << EOD\n";
  const double half = half_width(series);
  bool any = false;
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    double y = series.y[i], low = series.low.empty() ? y : series.low[i],
           high = series.high.empty() ? y : series.high[i];
    if (series.style == Style::bars) {
      const double base = series.low.empty() ? std::max(0., figure.y.log ? y_range.low : 0.) : low;
      low = half;
      high = std::abs(y - base) / 2;
      y = (y + base) / 2;
    } else if (std::isnan(low) || std::isnan(high)) {
      low = high = y;
    } else {  // what lies beyond the axis is cut off there, 0 on a logarithmic one and infinity as well
      low = std::clamp(low, y_range.low, y_range.high);
      high = std::clamp(high, y_range.low, y_range.high);
    }
    if (!has_place(figure, series.x[i], y)) {
      block += "\n";
      continue;
    }
    any = true;
    for (const double value : {series.x[i], y, low, high}) block += gnuplot_number(value) + " ";
    block += "\n";
  }
  return any ? block + "EOD\n" : "";
}

/// The part of a `plot` command for one curve.
std::string plot_element(const Figure& figure, const Series& series, const std::string& data,
                         std::size_t look) {
  const std::string title = series.label.empty() ? " notitle" : " title " + gnuplot_text(series.label, 70);
  const std::size_t other_round =
      look + look / kColours.size();  // other pairs with the colours each time round
  const std::string colour = text(" lc rgb '", of_look(kColours, look), "'");
  const std::string marker = text(" pt ", of_look(kMarkers, other_round), " ps 0.8");
  const auto points = static_cast<std::size_t>(
      std::count_if(series.y.begin(), series.y.end(), [&](double y) { return has_place(figure, 1, y); }));
  const std::string sparse = text(" pi ", std::max<std::size_t>(1, points / 12));
  const bool spread = !series.low.empty();
  const std::string band = spread ? text(data, " using 1:3:4 with filledcurves", colour,
                                         " fs transparent solid 0.25 noborder notitle, ")
                                  : "";
  switch (series.style) {
    case Style::bars:
      return text(data, " using 1:2:3:4 with boxxyerror", colour, " fs pattern ", of_look(kFills, look),
                  title);
    case Style::points:
      return text(data, spread ? " using 1:2:3:4 with yerrorbars lw 1.5" : " using 1:2 with points", colour,
                  marker, title);
    case Style::dashed:
      return text(band, data, " using 1:2 with linespoints lw 2 dt (8,5)", colour, marker, sparse, title);
    case Style::line:
      if (points > 1)
        return text(band, data, " using 1:2 with lines lw 2 dt ", of_look(kDashes, other_round), colour,
                    title);
      [[fallthrough]];
    case Style::line_points:
      break;
  }
  return text(band, data, " using 1:2 with linespoints lw 2", colour, marker, sparse, title);
}

/// What a value is drawn as: gnuplot's own logarithmic scale of colours fails on cells without one.
double shown(const Grid& grid, double value) {
  if (!can_be_shown(value, grid.log)) return NAN;
  return grid.log ? std::log10(value) : value;
}

std::string grid_block(const Grid& grid) {
  std::string block = "$grid << EOD\n";
  for (std::size_t row = 0; row < grid.y.size(); ++row) {
    for (std::size_t column = 0; column < grid.x.size(); ++column) {
      const double value = grid.values[row * grid.x.size() + column];
      for (const double number : {grid.x[column], grid.y[row], shown(grid, value), value})
        block += gnuplot_number(number) + " ";
      block += "\n";
    }
    block += "\n";
  }
  return block + "EOD\n";
}

std::string contour_commands(const Grid& grid) {
  if (grid.contours.empty()) return "";
  std::string levels;
  for (const double level : grid.contours)
    levels += (levels.empty() ? "" : ",") + gnuplot_number(shown(grid, level));
  return text("set contour base\nunset surface\nset cntrparam levels discrete ", levels,
              "\nset table $contours\nsplot $grid using 1:2:3 with lines\nunset table\nunset contour\n");
}

/// Half a cell beyond the outermost centres.
Range grid_range(const std::vector<double>& centres) {
  const double half = centres.size() > 1
                          ? (centres.back() - centres.front()) / static_cast<double>(centres.size() - 1) / 2
                          : 0.5;
  return {centres.front() - half, centres.back() + half};
}

/// The scale of colours; it marks the levels of several contours. Points on the grid must stand out from it.
std::string grid_commands(const Grid& grid, bool has_points) {
  const Range range = range_of({.log = grid.log}, grid.values);
  std::vector<double> places = grid.contours;
  if (places.size() < 2 && grid.log) places = log_places(range, {});
  std::vector<double> values;
  for (const double value : grid.values) values.push_back(shown(grid, value));
  const Axis scale{.label = grid.label, .low = shown(grid, range.low), .high = shown(grid, range.high)};
  return text(grid_block(grid), contour_commands(grid),
              "set size square\nset palette defined (0 '#FFFFFF', 1 '", has_points ? "#A9BCD8" : "#4A6FA5",
              "')\n", axis_commands("cb", scale, range_of(scale, values), values),
              places.size() > 1 ? "set cbtics (" + tic_list(places, grid.log) + ")\n" : "");
}

std::string grid_elements(const Grid& grid) {
  constexpr std::size_t kMostCells = 1024;  // drawn one by one; more are an image
  std::string elements =
      text("$grid using 1:2:3 with image", grid.values.size() <= kMostCells ? " pixels" : "", " notitle");
  if (!grid.contours.empty()) elements += ", $contours using 1:2 with lines lc rgb 'black' lw 1 notitle";
  if (grid.numbers) elements += ", $grid using 1:2:(sprintf('%g',$4)) with labels font ',10' notitle";
  return elements;
}

/// All that a plot must have room for, and the places of its points.
struct Extent {
  std::vector<double> x, y, places;
};

Extent extent_of(const Figure& figure) {
  Extent extent;
  for (const Series& series : figure.series) {
    extent.places.insert(extent.places.end(), series.x.begin(), series.x.end());
    for (const auto* values : {&series.y, &series.low, &series.high})
      extent.y.insert(extent.y.end(), values->begin(), values->end());
    if (series.style != Style::bars) continue;
    if (series.low.empty()) extent.y.push_back(0);
    for (const double x : series.x)
      for (const double side : {-1., 1.}) extent.x.push_back(x + side * half_width(series));
  }
  extent.x.insert(extent.x.end(), extent.places.begin(), extent.places.end());
  return extent;
}

/// How the labels stand below the plot.
struct Legend {
  std::size_t columns = 1, rows = 0;
};

Legend legend_of(const Figure& figure, int width) {
  std::size_t longest = 0, count = 0;
  for (const Series& series : figure.series) {
    if (series.label.empty()) continue;
    longest = std::max(longest, std::min<std::size_t>(series.label.size(), 70));
    ++count;
  }
  const std::size_t columns = static_cast<std::size_t>(width - 60) / (8 * longest + 95);
  const Legend legend{.columns = std::clamp<std::size_t>(columns, 1, std::max<std::size_t>(count, 1))};
  return {legend.columns, (count + legend.columns - 1) / legend.columns};
}

/// Puts the legend at the lower edge, below the axis; makes room for it.
std::string legend_commands(const Figure& figure, Canvas& canvas) {
  constexpr int kRow = 20, kAxis = 78, kLetter = 6;
  const Legend legend = legend_of(figure, canvas.width);
  if (legend.rows == 0) return "unset key\n";
  const int height = kRow * static_cast<int>(legend.rows);
  const int names = is_crowded(figure.x) ? kLetter * static_cast<int>(longest_name(figure.x)) : 0;
  canvas.height += height + names;
  return text("set key at screen 0.5,", gnuplot_number(6. / canvas.height),
              " bottom center horizontal maxcols ", legend.columns,
              " Left reverse samplen 5 width 1\nset bmargin at screen ",
              gnuplot_number(static_cast<double>(kAxis + height + names) / canvas.height), "\n");
}

}  // namespace

std::string curve_commands(const Figure& figure) {
  const Extent extent = extent_of(figure);
  Range x = range_of(figure.x, extent.x), y = range_of(figure.y, extent.y);
  std::string commands = "set title " + gnuplot_text(figure.title) + "\n";
  std::string elements;
  if (figure.grid) {
    if (figure.x.names.empty()) x = grid_range(figure.grid->x);
    if (figure.y.names.empty()) y = grid_range(figure.grid->y);
    commands += grid_commands(*figure.grid, !figure.series.empty());
    elements = grid_elements(*figure.grid);
  } else {
    commands += "set tics out nomirror\nset grid lc rgb '#DDDDDD' lw 0.5\n";
  }
  const std::vector<double> anywhere;  // on a grid every place has a value
  commands += axis_commands("x", figure.x, x, figure.grid ? anywhere : extent.places) +
              axis_commands("y", figure.y, y, figure.grid ? anywhere : extent.y);
  bool any = figure.grid.has_value();
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    const Series& series = figure.series[i];
    const std::string name = text("$s", i);
    const std::string block = data_block(figure, series, y, name);
    if (block.empty()) continue;
    any = true;
    commands += block;
    const auto look = static_cast<std::size_t>(series.look.value_or(static_cast<int>(i)));
    elements += (elements.empty() ? "" : ", ") + plot_element(figure, series, name, look);
  }
  if (!any) {
    commands += "set label 'no values' at graph 0.5,0.5 center\n";
    elements = "NaN notitle";
  }
  Canvas canvas;
  if (figure.grid) canvas = {.width = 640, .height = 560};
  commands += legend_commands(figure, canvas);
  return commands + on_all_terminals(figure.stem, canvas, "plot " + elements + "\n");
}

}  // namespace trainer::report
