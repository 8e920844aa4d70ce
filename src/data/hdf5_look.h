#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hdf5_files.h"
#include "share_work.h"

namespace trainer::data {

/// One data set as all files of a data set must have it.
struct Hdf5Part {
  std::string path;
  h5::TableKind kind = h5::TableKind::other;
  std::string type;                     ///< as stored
  bool is_plain = true;                 ///< no missing values and no scale factors
  std::vector<std::int64_t> row_shape;  ///< never empty
  std::int64_t columns = 0;
  bool operator==(const Hdf5Part&) const = default;
};

struct Hdf5Parts {
  std::vector<Hdf5Part> inputs;
  std::vector<Hdf5Part> targets;
  bool operator==(const Hdf5Parts&) const = default;
};

Hdf5Parts parts_of(const Hdf5Open& open);

/// What is known about the rows of all files.
struct Hdf5Look {
  Hdf5Parts parts;
  std::vector<std::int64_t> firsts;  ///< first row of each file and, last, the number of all rows
  std::vector<std::int64_t> pieces;  ///< see Source::pieces
};

/// Looks at every file, each in one task. **Collective** where `share` is. Throws Error(data) for files that
/// differ in anything but their rows.
Hdf5Look look_at(const Hdf5Rows& rows, const ShareWork& share);

/// How many files one task looks at.
inline constexpr std::int64_t kFilesPerTask = 16;

}  // namespace trainer::data
