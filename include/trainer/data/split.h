#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "trainer/data/row_set.h"

namespace trainer::data {

/// Which rows train and which validate.
struct Split {
  /// The data set that `validation` counts in.
  enum class Of { training, test, own };
  RowSet training;    ///< of the training data; never empty
  RowSet validation;  ///< empty: no validation
  Of of = Of::training;
};

/// What a split is made of.
struct Splittable {
  std::int64_t rows = 0;                  ///< of the training data
  std::int64_t test_rows = 0;             ///< 0: there is no test split
  std::int64_t own_rows = 0;              ///< of --validation PATH; 0: none was given
  std::vector<std::int64_t> files = {0};  ///< first row of each file
  /// First rows of the blocks that a fraction is drawn in; empty: it is drawn row by row.
  std::vector<std::int64_t> blocks = {};
  /// The group of every row, by a data set or column; empty: the format has none.
  std::function<std::vector<std::int64_t>(const std::string& path)> groups = {};
};

/// Reads `--validation`: `0` none; a fraction below 1, the nearest whole number of rows but at least 1, drawn
/// by `split_seed`; `5000 rows`, drawn likewise; `tail(0.1)`, the last rows; `files(0.1)`, whole files,
/// drawn; `groups(PATH, 0.1)` (a data set of HDF5, a column of CSV), all rows of the groups that are drawn
/// until they are that many; `test`, all rows of the test split. Where rows lie in blocks (large data), a
/// fraction or number of rows is drawn as whole blocks, the last of them in part. A pure function of its
/// arguments: the same on every rank. Throws Error(usage) for anything else, for fractions below 0 or from 1
/// on, and when no training row would be left.
Split split_rows(const std::string& validation, std::uint64_t split_seed, const Splittable& data);

/// The PATH of `--validation groups(PATH, 0.1)`; empty for anything else.
std::string groups_path(const std::string& validation);

/// At most `most` rows of a set, spread evenly over it.
RowSet spread(const RowSet& rows, std::int64_t most);

}  // namespace trainer::data
