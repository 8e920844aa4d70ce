#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trainer::data {

/// How one column of a table became inputs: its number, or as many inputs as it has categories, of which
/// one is 1 and the others are 0.
struct CsvEncodedColumn {
  std::int64_t place = 0;  ///< from 0
  std::string name = {};   ///< empty without a header
  bool categorical = false;
  std::vector<std::string> categories = {};  ///< sorted by bytes
};

/// What a model must know of the table that it was trained on (DataFacts::encoding).
struct CsvEncoding {
  std::int64_t columns = 0;  ///< of the table, targets and all
  bool named = false;        ///< the columns have names
  bool classes = false;      ///< the target is a class
  std::vector<CsvEncodedColumn> inputs = {};
  std::vector<CsvEncodedColumn> targets = {};  ///< place and name only
};

/// One printable line (or "values:"): csv of 3 named columns: 1 "width" number, 2 "color" in "blue" "red";
/// classes: 3 "kind"
std::string text_of(const CsvEncoding& encoding);
/// The other way round. Throws Error(data) for what text_of() does not write.
CsvEncoding csv_encoding_of(const std::string& text);

}  // namespace trainer::data
