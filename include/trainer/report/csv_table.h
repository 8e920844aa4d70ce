#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainer::report {

/// The cells of one line; nothing when it is no CSV text, as with a quote that is left open.
std::optional<std::vector<std::string>> csv_cells(std::string_view line);

/// A CSV file with a header line, read; for files that grow meanwhile or whose writer was killed.
class CsvTable {
 public:
  /// Whole rows of as many cells as the header has; others (a last line without its end) are left out. Of
  /// more than `most_rows` rows every 2nd, 4th, ... is kept. Throws Error(data) when the file cannot be read
  /// or is no CSV text.
  static CsvTable read(const std::string& path, std::int64_t most_rows = 200'000);

  const std::vector<std::string>& columns() const { return columns_; }
  bool has(const std::string& column) const;
  std::int64_t rows() const { return rows_; }
  /// 1, or how many rows of the file stand behind one that was kept.
  std::int64_t every() const { return every_; }
  /// The cells of a column. Throws Error(data) when there is no such column.
  const std::vector<std::string>& texts(const std::string& column) const;
  /// The same as numbers; nan where a cell is empty or no number.
  std::vector<double> numbers(const std::string& column) const;
  /// The same of the column at a place: names may repeat.
  std::vector<double> numbers(std::size_t column) const;

 private:
  void keep_every_second();
  std::size_t place_of(const std::string& column) const;

  std::string path_;
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> cells_;  ///< by column
  std::int64_t rows_ = 0, every_ = 1;
};

}  // namespace trainer::report
