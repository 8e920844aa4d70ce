#include "gnuplot_words.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "plain_text.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::report {
namespace {

constexpr double kMostShown = 1e300;
constexpr std::size_t kMostNames = 32;    ///< beside an axis
constexpr std::size_t kLongestName = 18;  ///< characters

/// The first `most` characters (not bytes) of UTF-8 text.
std::string cut(const std::string& text, std::size_t most) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80;
    if (begins && characters++ == most) return text.substr(0, i) + "…";
  }
  return text;
}

/// 'text' place, for `set xtics`.
std::string name_tics(const std::vector<std::string>& names) {
  const std::size_t every = (names.size() + kMostNames - 1) / kMostNames;
  std::string list;
  for (std::size_t i = 0; i < names.size(); i += every)
    list += text(list.empty() ? "" : ", ", gnuplot_text(names[i], kLongestName), " ", i);
  return list;
}

bool is_power_of_two(double value) {
  int exponent = 0;
  return value >= 1 && std::frexp(value, &exponent) == 0.5;
}

std::string tics_commands(std::string_view name, const Axis& axis, const Range& range,
                          const std::vector<double>& values) {
  if (!axis.names.empty()) {
    const bool crowded = name == "x" && is_crowded(axis);
    return text("set ", name, "tics (", name_tics(axis.names), ") scale 0",
                crowded ? " rotate by 45 right" : "", "\n");
  }
  // gnuplot itself marks powers of ten only, of which a short axis has one or none.
  if (axis.log) return text("set ", name, "tics (", tic_list(log_places(range, values)), ")\n");
  const bool whole = !values.empty() &&
                     std::all_of(values.begin(), values.end(), [](double v) { return v == std::floor(v); });
  return whole && range.high - range.low <= 12 ? text("set ", name, "tics 1\n") : "";
}

}  // namespace

std::string gnuplot_text(std::string_view words, std::size_t most) {
  std::string result = "'";
  for (const char c : cut(plain_text(words), most)) {
    if (c == '\'') result += '\'';
    result += c == '\n' || c == '\t' ? ' ' : c;
  }
  return result + "'";
}

std::size_t longest_name(const Axis& axis) {
  std::size_t longest = 0;
  for (const std::string& word : axis.names) longest = std::max(longest, std::min(word.size(), kLongestName));
  return longest;
}

bool is_crowded(const Axis& axis) {
  return longest_name(axis) * std::min(axis.names.size(), kMostNames) > 60;
}

std::string gnuplot_number(double value) { return std::isfinite(value) ? format_number(value) : "NaN"; }

bool can_be_shown(double value, bool log) {
  return std::abs(value) <= kMostShown && (!log || value >= 1 / kMostShown);  // false for nan
}

std::string tic_list(const std::vector<double>& places, bool at_logarithms) {
  std::string list;
  for (const double place : places)
    list += text(list.empty() ? "" : ", ", "'", short_number(place), "' ",
                 gnuplot_number(at_logarithms ? std::log10(place) : place));
  return list;
}

std::vector<double> log_places(const Range& range, const std::vector<double>& values) {
  constexpr std::size_t kMost = 16;
  constexpr double kMostDecades = 12;
  const double span = std::log10(range.high) - std::log10(range.low);
  std::set<double> places;
  if (!values.empty() && std::all_of(values.begin(), values.end(), is_power_of_two))
    places.insert(values.begin(), values.end());
  if (places.size() < 2 || places.size() > kMost) {
    places.clear();
    std::vector<double> digits = {1};
    if (span < 4) digits = {1, 2, 5};
    if (span < 0.7) digits = {1, 1.5, 2, 3, 5, 7};
    const int step = std::max(1, static_cast<int>(std::ceil(span / kMostDecades)));
    const auto first = static_cast<int>(std::floor(std::log10(range.low)));
    for (int decade = step * (first / step - 1); decade <= std::log10(range.high); decade += step)
      for (const double digit : digits) places.insert(digit * std::pow(10, decade));
  }
  std::erase_if(places, [&](double place) { return place < range.low || place > range.high; });
  return {places.begin(), places.end()};
}

Range range_of(const Axis& axis, const std::vector<double>& values) {
  if (!axis.names.empty()) return {-0.5, static_cast<double>(axis.names.size()) - 0.5};
  Range range{HUGE_VAL, -HUGE_VAL};
  for (const double value : values) {
    if (!can_be_shown(value, axis.log)) continue;
    range = {std::min(range.low, value), std::max(range.high, value)};
  }
  if (range.low > range.high) range = axis.log ? Range{1, 10} : Range{0, 1};
  constexpr double kRoom = 0.03;
  if (axis.log) {
    const double factor = range.high > range.low ? std::pow(range.high / range.low, kRoom) : 2;
    range = {std::max(range.low / factor, 1 / kMostShown), std::min(range.high * factor, kMostShown)};
  } else {
    const double span = range.high - range.low;
    // Values that differ in their last digits alone are one value, or no tics would stand beside them.
    const double size = std::max(std::abs(range.low), std::abs(range.high));
    const double room = span > 1e-6 * size ? kRoom * span : size > 0 ? 0.1 * size : 1e-3;
    range = {range.low >= 0 ? std::max(0., range.low - room) : range.low - room, range.high + room};
  }
  if (axis.low && can_be_shown(*axis.low, axis.log)) range.low = *axis.low;
  if (axis.high && can_be_shown(*axis.high, axis.log)) range.high = *axis.high;
  return range;
}

std::string axis_commands(std::string_view name, const Axis& axis, const Range& range,
                          const std::vector<double>& values) {
  const Range shown = axis.reversed ? Range{range.high, range.low} : range;
  return text("set ", name, "label ", gnuplot_text(axis.label), name == "cb" ? " offset 1,0" : "", "\nset ",
              name, "range [", gnuplot_number(shown.low), ":", gnuplot_number(shown.high), "]\n",
              axis.log ? text("set logscale ", name, "\n") : "", "set format ", name, " '%g'\n",
              tics_commands(name, axis, range, values));
}

std::string on_all_terminals(const std::string& stem, const Canvas& canvas, const std::string& plot) {
  std::string name = stem;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  const double to_inches = 1. / 100;
  return text("set terminal svg noenhanced size ", canvas.width, ",", canvas.height,
              " background 'white' font 'sans-serif,13' name 'f_", name, "'\nset output '", stem, ".svg'\n",
              plot, "set terminal pngcairo noenhanced size ", 2 * canvas.width, ",", 2 * canvas.height,
              " background 'white' font 'sans,13' fontscale 1.54 linewidth 2 pointscale 2.4 dashlength "
              "2\nset output '",
              stem, ".png'\nreplot\nset terminal pdfcairo noenhanced size ", canvas.width * to_inches, "in,",
              canvas.height * to_inches,
              "in background 'white' font 'sans,13' fontscale 0.56 linewidth 1.3 pointscale 0.9 dashlength "
              "1.8\nset output '",
              stem, ".pdf'\nreplot\nset output\nprint '", stem, "'\n");
}

}  // namespace trainer::report
