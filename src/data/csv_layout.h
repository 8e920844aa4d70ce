#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "csv_file.h"

namespace trainer::data {

enum class CsvKind : char { unknown, number, text };

struct CsvHeadColumn {
  std::string name;                 ///< from the header; "column 3" when it has none
  bool is_named = false;            ///< in the header
  CsvKind kind = CsvKind::unknown;  ///< by its first value that is not missing
  std::string value;                ///< that value
  std::int64_t line = 0;
};

/// How a CSV file is written, told from its first rows.
struct CsvLayout {
  char separator = ',';  ///< ' ': any number of blanks and tabs
  bool header = false;
  std::vector<CsvHeadColumn> columns;
};

/// What the first rows of `file` tell. `known_names`: a first row that holds them all is the header. Throws
/// Error(data) for an empty file and for duplicate names, and CsvFault.
CsvLayout read_layout(const CsvFile& file, const std::vector<std::string>& known_names);

/// Where the rows of one more file begin.
struct CsvBegin {
  std::int64_t offset = 0;
  std::int64_t line = 1;
};
/// After the header, if the first row is that of `layout`. Throws CsvFault.
CsvBegin rows_begin(const CsvFile& file, const CsvLayout& layout);

}  // namespace trainer::data
