#pragma once

#include <string>
#include <vector>

namespace trainer::report {

/// Values as a line of blocks, at most `width` of them: "█▆▄▃▂▂▁". Where there are more values, a block is
/// the mean of its share; what is not finite is a blank. Empty without a finite value.
std::string sparkline(const std::vector<double>& values, int width);

/// A plot of y over x for a terminal, `width` x `height` characters, axes with their ends included, each line
/// ended. x ascends; values that are not finite are left out. Logarithmic in y when all values are positive
/// and span more than a factor of 30. Empty without two finite values.
std::string text_plot(const std::string& title, const std::vector<double>& x, const std::vector<double>& y,
                      int width, int height);

}  // namespace trainer::report
