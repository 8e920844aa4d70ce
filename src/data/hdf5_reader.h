#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hdf5_files.h"
#include "hdf5_look.h"
#include "hdf5_targets.h"
#include "source.h"

namespace trainer::data {

/// Reads any rows of many files; a few of them stay open.
class Hdf5Reader {
 public:
  Hdf5Reader(Hdf5Rows rows, Hdf5Look look, Hdf5Targets targets);

  /// See Source::read.
  void read(Range rows, const RowStore& store);
  /// See Source::groups; `path` is a data set of one axis, beside the inputs or the targets.
  std::vector<std::int64_t> groups(const std::string& path) const;

 private:
  const Hdf5Open& open(std::size_t file);
  void read_file(const Hdf5Open& file, Range rows, const RowStore& store) const;
  void read_classes(const Hdf5Column& column, Range rows, std::int32_t* out) const;
  std::int32_t class_of(const std::string& name, const Hdf5Column& column, std::int64_t row) const;
  std::int32_t class_of(double label, const Hdf5Column& column, std::int64_t row) const;

  Hdf5Rows rows_;
  Hdf5Look look_;
  Hdf5Targets targets_;
  std::unordered_map<std::string, std::int32_t> class_indices_;
  std::list<std::pair<std::size_t, Hdf5Open>> opened_;  ///< the last used first
};

}  // namespace trainer::data
