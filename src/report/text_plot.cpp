#include "trainer/report/text_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "plain_text.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

struct Ends {
  double low = HUGE_VAL, high = -HUGE_VAL;
  bool any() const { return low <= high; }
  /// Where a value lies between them, from 0 to 1.
  double share(double value) const { return high > low ? (value - low) / (high - low) : 0; }
};

Ends ends_of(const std::vector<double>& values) {
  Ends ends;
  for (const double value : values)
    if (std::isfinite(value)) ends = {std::min(ends.low, value), std::max(ends.high, value)};
  return ends;
}

/// The means of `count` equal shares of the values.
std::vector<double> means(const std::vector<double>& values, std::size_t count) {
  std::vector<double> result;
  for (std::size_t i = 0; i < count; ++i) {
    double sum = 0, rows = 0;
    for (std::size_t j = i * values.size() / count; j < (i + 1) * values.size() / count; ++j) {
      if (!std::isfinite(values[j])) continue;
      sum += values[j];
      ++rows;
    }
    result.push_back(rows > 0 ? sum / rows : kNothing);
  }
  return result;
}

std::string padded(const std::string& words, std::size_t width) {
  return std::string(width - std::min(width, words.size()), ' ') + words;
}

}  // namespace

std::string sparkline(const std::vector<double>& values, int width) {
  static constexpr std::array<const char*, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const auto blocks = means(values, std::min(values.size(), static_cast<std::size_t>(std::max(width, 1))));
  const Ends ends = ends_of(blocks);
  if (!ends.any()) return "";
  std::string line;
  for (const double value : blocks)
    line +=
        std::isfinite(value) ? kBlocks[static_cast<std::size_t>(std::lround(7 * ends.share(value)))] : " ";
  return line;
}

std::string text_plot(const std::string& title, const std::vector<double>& x, const std::vector<double>& y,
                      int width, int height) {
  Ends range_x, range_y = ends_of(y);
  const bool log = range_y.low > 0 && range_y.high > 30 * range_y.low;
  const auto scaled = [&](double value) { return log ? std::log(value) : value; };
  for (std::size_t i = 0; i < x.size(); ++i)
    if (std::isfinite(x[i]) && std::isfinite(y[i]))
      range_x = {std::min(range_x.low, x[i]), std::max(range_x.high, x[i])};
  if (!range_x.any() || !(range_x.low < range_x.high)) return "";
  const std::string top = short_number(range_y.high), bottom = short_number(range_y.low);
  const std::size_t margin = std::max(top.size(), bottom.size());
  const auto columns = static_cast<std::size_t>(std::max(width - static_cast<int>(margin) - 2, 8));
  const auto rows = static_cast<std::size_t>(std::max(height - 2, 3));
  const Ends shown{scaled(range_y.low), scaled(range_y.high)};
  std::vector<std::string> canvas(rows, std::string(columns, ' '));
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    const auto column =
        static_cast<std::size_t>(std::lround(range_x.share(x[i]) * static_cast<double>(columns - 1)));
    const auto row =
        static_cast<std::size_t>(std::lround(shown.share(scaled(y[i])) * static_cast<double>(rows - 1)));
    canvas[rows - 1 - row][column] = '*';
  }
  std::string plot = padded("", margin + 2) + plain_text(title) + (log ? " (logarithmic)\n" : "\n");
  for (std::size_t row = 0; row < rows; ++row)
    plot += padded(row == 0 ? top : row + 1 == rows ? bottom : "", margin) + " |" + canvas[row] + "\n";
  const std::string left = short_number(range_x.low), right = short_number(range_x.high);
  return plot + padded("", margin + 2) + left + padded(right, columns - std::min(columns, left.size())) +
         "\n";
}

}  // namespace trainer::report
