#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trainer::data {

/// What is wrong with a row, before it is known what its file and columns are called.
struct CsvFault {
  std::int64_t line = 0;     ///< where the row begins, as the reader counts lines
  std::int64_t column = -1;  ///< from 0; -1: the row as a whole
  std::string what = {};
};

struct CsvRow {
  std::string_view text;    ///< without the end of line
  std::int64_t offset = 0;  ///< of its first byte
  std::int64_t line = 0;
};

/// Cuts bytes into rows: at each end of line outside of quotes.
class CsvRowReader {
 public:
  /// Writes the next bytes, at most so many, and returns how many; 0 at the end.
  using Read = std::function<std::int64_t(char*, std::int64_t)>;
  /// The first byte that `read` gives begins a row, stands at `offset` and in `line`.
  CsvRowReader(Read read, std::int64_t offset, std::int64_t line)
      : read_(std::move(read)), offset_(offset), line_(line) {}

  /// The next row, blank ones too; its text lives until the next call. False at the end. Throws CsvFault for
  /// quotes that are not closed, bytes 0 and rows longer than 64 MiB.
  bool next(CsvRow& row);
  std::int64_t offset() const { return offset_; }  ///< of the next row
  std::int64_t line() const { return line_; }

 private:
  bool refill();

  Read read_;
  std::int64_t offset_;
  std::int64_t line_;
  std::string buffer_;
  std::size_t begin_ = 0;  ///< of the next row in buffer_
  std::size_t end_ = 0;
};

/// Whether there is nothing but blanks and tabs.
bool is_blank(std::string_view row);

/// Cuts rows into fields (RFC 4180).
class CsvRowParser {
 public:
  /// `separator` ' ' stands for any number of blanks and tabs (a tab in quotes is then read as a blank).
  explicit CsvRowParser(char separator);
  ~CsvRowParser();
  CsvRowParser(const CsvRowParser&) = delete;
  CsvRowParser& operator=(const CsvRowParser&) = delete;

  /// The fields, none for a blank row; they live until the next call. Throws CsvFault for quotes out of place
  /// and for more than a million fields.
  std::span<const std::string_view> parse(const CsvRow& row);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::data
