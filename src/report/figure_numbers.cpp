#include "figure_numbers.h"

#include <algorithm>
#include <cmath>

#include "plain_text.h"
#include "trainer/report/csv.h"

namespace trainer::report {
namespace {

/// A name for a column or a cell: one line.
std::string word(const std::string& label, const std::string& otherwise) {
  std::string result = plain_text(label.empty() ? otherwise : label);
  std::replace(result.begin(), result.end(), '\n', ' ');
  return result;
}

/// A place on an axis: a number, or the name that stands there.
CsvCell place(const Axis& axis, double value) {
  const auto names = static_cast<double>(axis.names.size());
  if (value >= 0 && value < names && value == std::floor(value))
    return word(axis.names[static_cast<std::size_t>(value)], "");
  return value;
}

void write_curves(const Figure& figure, const std::string& path) {
  const bool spread = std::any_of(figure.series.begin(), figure.series.end(),
                                  [](const Series& s) { return !s.low.empty() || !s.high.empty(); });
  std::vector<std::string> columns = {"series", word(figure.x.label, "x"), word(figure.y.label, "y")};
  if (spread) columns.insert(columns.end(), {"low", "high"});
  if (figure.grid) columns.push_back(word(figure.grid->label, "value"));
  CsvFile file = CsvFile::create(path, columns);
  std::vector<CsvCell> cells(columns.size());
  const auto append = [&](const std::string& name, double x, double y) {
    cells[0] = name;
    cells[1] = place(figure.x, x);
    cells[2] = place(figure.y, y);
    file.append(cells);
  };
  for (const Series& series : figure.series)
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      if (spread) cells[3] = series.low.empty() ? CsvCell() : CsvCell(series.low[i]);
      if (spread) cells[4] = series.high.empty() ? CsvCell() : CsvCell(series.high[i]);
      append(word(series.label, ""), series.x[i], series.y[i]);
    }
  if (figure.grid) {
    std::fill(cells.begin(), cells.end(), CsvCell());
    for (std::size_t i = 0; i < figure.grid->values.size(); ++i) {
      cells.back() = figure.grid->values[i];
      const std::size_t width = figure.grid->x.size();
      append("grid", figure.grid->x[i % width], figure.grid->y[i / width]);
    }
  }
  file.flush();
}

void write_pictures(const Pictures& pictures, const std::string& path) {
  CsvFile file = CsvFile::create(
      path, {"picture", "caption", "row", "column", "channel", word(pictures.label, "value")});
  for (std::size_t p = 0; p < pictures.list.size(); ++p) {
    const Picture& picture = pictures.list[p];
    const std::string caption = word(picture.caption, "");
    for (std::int64_t i = 0; i < std::ssize(picture.values); ++i) {
      const std::int64_t pixel = i / picture.channels;
      file.append({static_cast<std::int64_t>(p), caption, pixel / picture.width, pixel % picture.width,
                   i % picture.channels, picture.values[static_cast<std::size_t>(i)]});
    }
  }
  file.flush();
}

}  // namespace

void write_numbers(const Figure& figure, const std::string& path) {
  if (figure.pictures) return write_pictures(*figure.pictures, path);
  write_curves(figure, path);
}

}  // namespace trainer::report
