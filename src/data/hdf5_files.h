#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "hdf5_layout.h"
#include "hdf5_selection.h"
#include "trainer/core/tree.h"
#include "trainer/h5/table.h"

namespace trainer::data {

/// Where one side of the rows, inputs or targets, is: the same selections in each of the files.
struct Hdf5Side {
  std::string option;  ///< for messages
  std::vector<std::string> paths;
  std::vector<Hdf5Selection> selections;  ///< none: there is no such side
};

/// What becomes of a missing number.
struct MissingRule {
  bool is_kept = false;  ///< as NaN; else it is an error
  std::string remedy = "mend or leave out such rows";
};

/// Where the rows are: row r of file i of the inputs belongs to row r of file i of the targets.
struct Hdf5Rows {
  Hdf5Side inputs;
  Hdf5Side targets;
  std::vector<std::int64_t> row_axes;
  h5::Links links = h5::Links::inside;
  MissingRule missing_inputs, missing_targets;
};

/// One file (or two) that is open.
struct Hdf5Open {
  std::vector<Hdf5Column> inputs;
  std::vector<Hdf5Column> targets;
  std::int64_t rows = 0;
};

/// Opens the selections of `side` in `file`, which agree in their rows. Throws Error(data) and Error(usage).
std::vector<Hdf5Column> open_side(const h5::TableFile& file, const Hdf5Side& side, const Hdf5Rows& rows);
/// Opens file `index`. Throws Error(data) and Error(usage).
Hdf5Open open_rows(const Hdf5Rows& rows, std::size_t index);

/// Reads rows of one data set to out[row * stride + column], checked to be finite. Throws Error(data) naming
/// file, data set, row and column.
void read_floats(const Hdf5Column& column, Range rows, float* out, std::int64_t stride,
                 const MissingRule& missing = {});
void read_bytes(const Hdf5Column& column, Range rows, std::uint8_t* out, std::int64_t stride);
/// Reads rows of a data set of one column; integers and booleans, none missing.
std::vector<std::int64_t> read_integers(const Hdf5Column& column, Range rows);
std::vector<std::string> read_texts(const Hdf5Column& column, Range rows);

/// Of a list of `total` things the runs of at most `most`, in order.
std::vector<Range> runs_of(Range all, std::int64_t most);

}  // namespace trainer::data
