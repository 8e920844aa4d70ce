#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "csv_layout.h"
#include "csv_rows.h"
#include "plan.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// A column that is used.
struct CsvColumn {
  std::int64_t place = 0;  ///< from 0
  bool target = false;
  bool categorical = false;
  bool known = false;               ///< categorical: values is complete, another text is an error
  bool or_index = false;            ///< known: the index of a value may stand for it
  std::vector<std::string> values;  ///< categorical: in the order of their indices
  std::string evidence;  ///< why it is categorical or not: a value and its line; empty when a model says so
};

/// The columns of CSV files that belong together.
struct CsvTable {
  char separator = ',';
  bool header = false;
  std::int64_t columns = 0;
  std::vector<std::string> names;  ///< of all columns
  std::vector<CsvColumn> used;     ///< inputs, then targets
  std::int64_t group = -1;         ///< place of the column of --validation groups(); it is not among `used`
  bool keep_missing = false;       ///< a missing input is NaN, and so are all inputs of a missing category
  bool drop_missing = false;       ///< rows with a missing value are left out; else they are errors
  std::string input_remedy;        ///< of a missing input, for messages
  std::string target_remedy;       ///< likewise
};

/// The words of a list of columns, as --inputs and --target-columns have it.
std::vector<std::string> words_of(std::string_view list);

/// Which columns are inputs and which targets. `path` is the file that `layout` was read from. Throws
/// Error(usage) for options that do not fit and Error(data).
CsvTable csv_table(const std::string& path, const CsvLayout& layout, const Request& request, Task task);

/// "FILE: line 3, column 2 ('width'): ..." as Error(data).
[[noreturn]] void fail_at(const std::string& path, const CsvTable& table, const CsvFault& fault);

}  // namespace trainer::data
