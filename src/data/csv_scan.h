#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "csv_table.h"
#include "share_work.h"

namespace trainer::data {

/// One of the files.
struct CsvFileFacts {
  std::string path = {};
  std::int64_t bytes = 0;  ///< as stored
  bool compressed = false;
  CsvBegin begin = {};
};

/// Where reading can begin.
struct CsvMark {
  std::int64_t row = 0;  ///< of all files together
  std::int64_t file = 0;
  std::int64_t offset = 0;
  std::int64_t line = 0;
};

/// What the numbers of a target column are.
struct CsvTargetFacts {
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  bool fractions = false;     ///< a value is no integer
  bool written_whole = true;  ///< no value has a point or an exponent
};

/// What one look at all rows tells.
struct CsvFindings {
  std::int64_t rows = 0;
  std::int64_t dropped = 0;
  std::vector<CsvMark> marks;  ///< ascending; the first row of each file that has rows is among them
  std::vector<std::vector<std::string>> categories;  ///< by used column, sorted, of those not known
  std::vector<std::int32_t> groups;     ///< of every row where the table has groups: numbers as they are met
  std::vector<CsvTargetFacts> targets;  ///< by used column; meaningful for targets that are numbers
};

/// Looks at all rows of `files`, in pieces of about `piece_bytes`, which decide nothing but where the marks
/// are. **Collective** where `share` is. Throws Error(data) for the first row that does not fit.
CsvFindings scan_csv(const std::vector<CsvFileFacts>& files, const CsvTable& table, std::int64_t piece_bytes,
                     const ShareWork& share);

/// The greatest number of categories of an input, and of classes that are texts.
inline constexpr std::int64_t kMostCategories = 1000;

}  // namespace trainer::data
