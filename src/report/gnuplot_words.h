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

/// Finite, and not so large or (on a logarithmic scale) small that differences get lost.
bool can_be_shown(double value, bool log);
/// Places to be marked on a logarithmic axis on which `values` stand: powers of two where all are, else 1, 2,
/// 5, 10, ..., or powers of ten.
std::vector<double> log_places(const Range& range, const std::vector<double>& values);
/// 'text' place, ...: for `set xtics`.
std::string tic_list(const std::vector<double>& places, bool at_logarithms = false);

/// From the ends that `axis` gives, else from `values` with some room; what cannot be shown is left out.
Range range_of(const Axis& axis, const std::vector<double>& values);
/// Label, range, scale and tics of the axis called x, y or cb (the scale of colours), on which `values`
/// stand.
std::string axis_commands(std::string_view name, const Axis& axis, const Range& range,
                          const std::vector<double>& values);

/// Characters of the longest of its names.
std::size_t longest_name(const Axis& axis);
/// Whether the names of the x axis must be written slanted.
bool is_crowded(const Axis& axis);

/// Pixels of the picture on a page.
struct Canvas {
  int width = 800, height = 440;
};
/// Sends the commands of a `plot` (its first line may be others) to all three files.
std::string on_all_terminals(const std::string& stem, const Canvas& canvas, const std::string& plot);

}  // namespace trainer::report
