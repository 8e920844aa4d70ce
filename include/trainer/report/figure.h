#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace trainer::report {

struct Axis {
  std::string label = {};                     ///< with its unit: "time [s]"
  bool log = false;                           ///< values that are not positive are then left out
  std::optional<double> low = {}, high = {};  ///< its ends; from the values where not given
  bool reversed = false;
  std::vector<std::string> names = {};  ///< of the places 0, 1, 2, ...: categories instead of numbers
};

enum class Style { line, points, line_points, dashed, bars };

/// One curve. Values that are not finite are left out; a line is broken there.
struct Series {
  std::string label = {};  ///< in the legend; empty: not in it
  Style style = Style::line;
  /// Colour, marker and dashes: curves of one number look alike but for their style. Not given: its place.
  std::optional<int> look = {};
  std::vector<double> x = {}, y = {};  ///< of one length
  std::vector<double> low = {},
                      high = {};  ///< empty, or of that length. With points: error bars; with lines: a
                                  ///< shaded band; with bars: `low` is where each begins (stacks)
};

/// Values over a rectangle, in shades of grey with a scale beside them.
struct Grid {
  std::vector<double> x, y;    ///< centres of the columns and rows: ascending, evenly spaced
  std::vector<double> values;  ///< [y.size(), x.size()]; what is not finite is left white
  std::string label = {};      ///< of the values, with their unit
  bool log = false;
  bool numbers = false;               ///< written into the cells
  std::vector<double> contours = {};  ///< levels shown as lines, with their values
};

/// A small image with words below it.
struct Picture {
  std::string caption = {};
  std::int64_t height = 0, width = 0, channels = 1;  ///< 1: shades of grey; 3: red, green, blue
  std::vector<float> values;                         ///< [height, width, channels]
};

/// Images beside and below each other, all on one scale from the least to the greatest value.
struct Pictures {
  std::vector<Picture> list;
  std::string label = {};  ///< of the values; empty: no scale is shown
  bool symmetric = false;  ///< the scale is as wide below zero as above
};

/// One plot: curves, on a grid of values or alone; or images.
struct Figure {
  std::string stem;   ///< of its files: letters, digits, _ . -
  std::string title;  ///< any text, as all labels may be
  Axis x = {}, y = {};
  std::vector<Series> series = {};
  std::optional<Grid> grid = {};
  std::optional<Pictures> pictures = {};
};

/// What draw() made.
struct Drawn {
  std::string folder;
  std::vector<std::string> stems;  ///< of which there are .svg, .png and .pdf
  std::string note;                ///< why pictures are missing and what to do; empty: all are there

  bool has(const std::string& stem) const;
};

/// Writes STEM.csv, the numbers behind it, of each figure into `folder` (made if need be), and STEM.svg,
/// STEM.png and STEM.pdf by gnuplot, one process for all. Where gnuplot is missing or fails there are no
/// pictures and a note: that is no error; so it is where a picture takes longer than a minute. Pictures of
/// former calls that could not be drawn anew are removed. `poll`: called again and again while gnuplot is
/// waited for, for a process that others wait for (Communicator::poll()).
/// Throws Error(data) when a file cannot be written, Error(internal) when a figure breaks the rules above.
Drawn draw(const std::vector<Figure>& figures, const std::string& folder,
           const std::function<void()>& poll = {});

}  // namespace trainer::report
