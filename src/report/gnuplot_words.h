#pragma once

// Words and numbers as gnuplot takes them, and what all figures look like. Private to this room.

#include <string>
#include <string_view>
#include <vector>

#include "trainer/report/figure.h"

namespace trainer::report {

/// In single quotes, on one line, at most `most` characters: gnuplot expands nothing there.
std::string gnuplot_text(std::string_view text, std::size_t most = 100);
/// `NaN` for what is not finite.
std::string gnuplot_number(double value);

/// Ends of an axis.
struct Range {
  double low = 0, high = 1;
};

/// From the ends that `axis` gives, else from `values` with some room; what cannot be shown is left out.
Range range_of(const Axis& axis, const std::vector<double>& values);
/// Label, range, scale and tics of the axis called x or y.
std::string axis_commands(char name, const Axis& axis, const Range& range, const std::vector<double>& values);

/// Pixels of the picture on a page.
struct Canvas {
  int width = 720, height = 432;
};
/// Sends the commands of a `plot` (its first line may be others) to all three files.
std::string on_all_terminals(const std::string& stem, const Canvas& canvas, const std::string& plot);

}  // namespace trainer::report
