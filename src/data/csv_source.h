#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "csv_scan.h"
#include "csv_table.h"
#include "source.h"

namespace trainer::data {

/// All that reading needs to know: the files as they were, their columns with all categories, the marks.
struct CsvData {
  std::vector<CsvFileFacts> files;
  CsvTable table;
  std::vector<CsvMark> marks;
  DataFacts facts;
  double greatest_class = 0;  ///< of classes that are numbers
};

/// The number of inputs that the columns of `table` become.
std::int64_t csv_features(const CsvTable& table);

/// read, any_rows, pieces and files of `data`, whose facts it gets. What a file lacks or has beside what is
/// known of it is Error(data): it changed.
Source csv_source(CsvData data);

}  // namespace trainer::data
