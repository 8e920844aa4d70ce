#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace trainer::report {

/// One cell: empty, a whole number, a number (printed so that it reads back exactly), or a text (quoted where
/// needed; no line ends).
using CsvCell = std::variant<std::monostate, std::int64_t, float, double, std::string>;

/// A CSV file that grows by rows: a header line, then one line a row. Rows are buffered, and stay so while
/// the file cannot be written (a full disk): none is lost or written twice. Move-only. Every function but
/// append() throws Error(data) when the file cannot be written, and names it.
class CsvFile {
 public:
  /// A new file (an old one of that name is replaced) with its header line, written out at once.
  static CsvFile create(const std::string& path, std::vector<std::string> columns);
  /// Opens a file of an earlier process and cuts it behind data row `rows`, whole rows and half-written ones
  /// alike. Throws Error(data) unless it has just these columns and at least so many rows.
  static CsvFile reopen(const std::string& path, std::vector<std::string> columns, std::int64_t rows);

  ~CsvFile();  ///< writes out what is buffered, as well as it can
  CsvFile(CsvFile&&) noexcept;
  CsvFile& operator=(CsvFile&&) noexcept;

  /// One row; as many cells as there are columns. Throws Error(internal) otherwise.
  void append(const std::vector<CsvCell>& cells);
  /// Hands the buffered rows to the system, so that other processes see them. May be called again after a
  /// failure.
  void flush();
  /// Waits until the rows that were flushed are on the disk. May be called by another thread meanwhile.
  void sync_flushed() const;

  std::int64_t rows() const { return rows_; }
  const std::vector<std::string>& columns() const { return columns_; }

 private:
  CsvFile(std::string path, std::vector<std::string> columns, int file, std::int64_t rows);
  std::string path_;
  std::vector<std::string> columns_;
  std::string buffer_;
  int file_ = -1;
  std::int64_t rows_ = 0;
};

}  // namespace trainer::report
