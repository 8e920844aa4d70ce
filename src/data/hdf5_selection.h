#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainer::data {

/// What is taken of one axis, as in numpy: `2:10:3`, `-1`, or everything. Negative places count from the end.
struct Hdf5Slice {
  std::optional<std::int64_t> begin;
  std::optional<std::int64_t> end;
  std::int64_t step = 1;
  bool is_index = false;  ///< one place, `begin`: the axis does not show in a row's shape
  bool is_all() const { return !begin && !end && step == 1; }
};

/// One data set, or member of one, that is asked for.
struct Hdf5Selection {
  std::string path;               ///< absolute
  std::vector<Hdf5Slice> slices;  ///< of the first axes of the data set as stored; the others are whole
  std::string written;            ///< as in the option, for messages and identity
};

/// Parses the value of --inputs or --targets, such as `T, Q[:,0:40], group/table:member`: data sets by path
/// ("/" in front is implied), each with an optional numpy slice of its axes as stored, those of the rows
/// included as `:`. Throws Error(usage) with a caret under the place.
std::vector<Hdf5Selection> parse_hdf5_selections(const std::string& option, const std::string& text);

/// Parses --row-axis: `0`, `-1`, or several that are joined, the first varying slowest: `0,2`. Throws
/// Error(usage).
std::vector<std::int64_t> parse_row_axes(const std::string& text);

}  // namespace trainer::data
