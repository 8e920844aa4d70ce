#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "library.h"
#include "trainer/h5/table.h"

namespace trainer::h5 {

struct TableFile::State {
  std::string name;  // for messages
  std::filesystem::path folder;
  Links links = Links::inside;
  std::int64_t file_bytes = 0;
  std::int64_t modified = 0;  // nanoseconds
  Handle file{-1, H5Fclose};

  ~State() {
    const Inside inside;
    if (file >= 0) file.close();
  }
};

struct Table::State {
  std::shared_ptr<const TableFile::State> file;
  TableFacts facts;
  std::string place;
  std::string member;  // empty: the whole element
  std::vector<double> missing;
  std::vector<std::int64_t> missing_integers;
  double scale = 1;
  double offset = 0;
  Handle data{-1, H5Dclose};
  Handle type{-1, H5Tclose};  // stored, of the element or its member

  ~State() {
    const Inside inside;
    if (type >= 0) type.close();
    if (data >= 0) data.close();
  }
};

/// Size and time of the open file, as the system has them now.
struct Stamp {
  std::int64_t bytes = 0;
  std::int64_t modified = 0;  // nanoseconds
};
Stamp stamp_of(const TableFile::State& file);

/// Shape, chunks and type of the data set, nothing checked; `member` may be empty. Sets facts and type.
void describe(Table::State& table);
/// Reads _FillValue, missing_value, scale_factor and add_offset.
void read_conventions(Table::State& table);
/// Throws Error(data) unless the values can be in the file and can be read.
void require_readable(const Table::State& table);

}  // namespace trainer::h5
