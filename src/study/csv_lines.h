#pragma once

// The lines of a CSV file that this room wrote and anybody may have changed. Private to this room.

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace trainer::study {

/// Reads such a file line by line, and each line cell by cell. A last line without its end, which a kill cut
/// short, counts for nothing. Whatever is no such line, or no such cell, is an Error(data) with file, line,
/// column, value and the remedy.
class CsvLines {
 public:
  /// `remedy`: what to do about a line that is damaged. Reads the heading.
  CsvLines(std::string file, std::string remedy);

  const std::vector<std::string>& columns() const { return columns_; }
  /// Goes to the next line that is not empty; false at the end.
  bool next();
  std::int64_t line() const { return line_; }

  // The next cell of the line.
  const std::string& word();
  std::int64_t whole(std::int64_t least);
  /// `nan` and `inf` are numbers, too, where there is no `least`.
  double number();
  double number(double least);
  /// One of `names`.
  const std::string& name(const std::vector<std::string>& names);

  /// Of the cell that was read last: "..." is `what`.
  [[noreturn]] void fail_here(const std::string& what) const;

 private:
  bool read_line();
  std::vector<std::string> cells_of_line() const;

  std::string file_, remedy_;
  std::ifstream in_;
  std::string buffer_, text_;
  std::vector<std::string> columns_, cells_;
  std::size_t cell_ = 0;  ///< the next
  std::int64_t line_ = 0;
};

}  // namespace trainer::study
