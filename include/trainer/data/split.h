#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trainer::data {

/// Which rows train and which validate. Both lists ascend.
struct Split {
  std::vector<std::int64_t> training;    ///< of the training data; never empty
  std::vector<std::int64_t> validation;  ///< empty: no validation
  bool validation_is_test = false;       ///< validation rows belong to the data's own test split instead
};

/// Reads `--validation`: `0` none; a fraction below 1, the nearest whole number of rows but at least 1, drawn
/// by `split_seed`; `5000 rows`, drawn likewise; `tail(0.1)`, the last rows; `test`, all `test_rows` of the
/// test split. `test_rows`: 0 when the data has no test split. A pure function of its arguments: the same on
/// every rank. Throws Error(usage) for anything else, for fractions below 0 or from 1 on, and when no
/// training row would be left.
Split split_rows(const std::string& validation, std::uint64_t split_seed, std::int64_t rows,
                 std::int64_t test_rows);

}  // namespace trainer::data
