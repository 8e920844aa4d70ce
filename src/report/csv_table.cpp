#include "trainer/report/csv_table.h"

#include <csv.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "file_system.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

constexpr std::int64_t kMostCells = 4'000'000;
constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::size_t kLongestRowBytes = 4 << 20;

using Row = std::vector<std::string>;

/// Hands over the rows of a text that comes in pieces; one that has not ended is waited for.
class RowParser {
 public:
  explicit RowParser(std::function<void(Row&)> sink) : sink_(std::move(sink)) {
    require(csv_init(&parser_, CSV_APPEND_NULL) == 0, ErrorKind::internal, "libcsv cannot be started");
  }
  ~RowParser() { csv_free(&parser_); }
  RowParser(const RowParser&) = delete;
  RowParser& operator=(const RowParser&) = delete;

  /// False when this is no CSV text.
  bool parse(std::string_view piece) {
    bytes_of_row_ += piece.size();
    return csv_parse(&parser_, piece.data(), piece.size(), add_cell, end_row, this) == piece.size() &&
           bytes_of_row_ < kLongestRowBytes;
  }

 private:
  static void add_cell(void* cell, std::size_t length, void* self) {
    static_cast<RowParser*>(self)->row_.emplace_back(static_cast<const char*>(cell), length);
  }
  static void end_row(int, void* self) {
    auto& parser = *static_cast<RowParser*>(self);
    parser.bytes_of_row_ = 0;
    parser.sink_(parser.row_);
    parser.row_.clear();
  }

  csv_parser parser_{};
  std::function<void(Row&)> sink_;
  Row row_;
  std::size_t bytes_of_row_ = 0;
};

double number_in(const std::string& cell) {
  double value = 0;
  const char* const end = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  return error == std::errc() && stop == end ? value : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::optional<std::vector<std::string>> csv_cells(std::string_view line) {
  std::optional<Row> cells;
  RowParser parser([&](Row& row) { cells = std::move(row); });
  if (!parser.parse(line) || !parser.parse("\n")) return std::nullopt;
  return cells;  // nothing where a quote was left open
}

CsvTable CsvTable::read(const std::string& path, std::int64_t most_rows) {
  std::error_code missing;
  require(std::filesystem::is_regular_file(path, missing), ErrorKind::data, "cannot read ", path,
          ": it is no plain file");
  std::ifstream file(path, std::ios::binary);
  require(file.good(), ErrorKind::data, with_reason("cannot open " + path));
  CsvTable table;
  table.path_ = path;
  std::int64_t seen = 0;
  RowParser parser([&](Row& row) {
    if (table.columns_.empty()) {
      table.columns_ = row;
      table.cells_.resize(row.size());
      most_rows = std::clamp<std::int64_t>(kMostCells / std::ssize(row), 1, most_rows);
      return;
    }
    if (row.size() != table.columns_.size()) return;
    if (table.rows_ == most_rows) table.keep_every_second();
    if (seen++ % table.every_ != 0) return;
    for (std::size_t c = 0; c < row.size(); ++c) table.cells_[c].push_back(std::move(row[c]));
    ++table.rows_;
  });
  std::string piece(kPieceBytes, '\0');
  while (file.read(piece.data(), kPieceBytes) || file.gcount() > 0)
    require(parser.parse({piece.data(), static_cast<std::size_t>(file.gcount())}), ErrorKind::data, path,
            " is no CSV text");
  require(!file.bad(), ErrorKind::data, with_reason("cannot read " + path));
  require(!table.columns_.empty(), ErrorKind::data, path, " holds no whole line");
  return table;
}

void CsvTable::keep_every_second() {
  for (auto& column : cells_) {
    for (std::size_t i = 1; 2 * i < column.size(); ++i) column[i] = std::move(column[2 * i]);
    column.resize((column.size() + 1) / 2);
  }
  rows_ = (rows_ + 1) / 2;
  every_ *= 2;
}

bool CsvTable::has(const std::string& column) const {
  return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
}

std::size_t CsvTable::place_of(const std::string& column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  require(found != columns_.end(), ErrorKind::data, path_, " has no column ", column);
  return static_cast<std::size_t>(found - columns_.begin());
}

const std::vector<std::string>& CsvTable::texts(const std::string& column) const {
  return cells_[place_of(column)];
}

std::vector<double> CsvTable::numbers(const std::string& column) const { return numbers(place_of(column)); }

std::vector<double> CsvTable::numbers(std::size_t column) const {
  const std::vector<std::string>& cells = cells_[column];
  std::vector<double> values(cells.size());
  std::transform(cells.begin(), cells.end(), values.begin(), number_in);
  return values;
}

}  // namespace trainer::report
