#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hdf5_selection.h"
#include "trainer/core/tree.h"
#include "trainer/h5/table.h"

namespace trainer::data {

/// How the rows of a data set lie in it: which axes count rows, and what is taken of the others.
struct Hdf5Layout {
  h5::Slab whole;                        ///< all rows, what is selected of the other axes
  std::vector<std::size_t> row_axes;     ///< the first varies slowest
  std::vector<std::size_t> column_axes;  ///< in the order stored
  std::vector<std::int64_t> row_shape;   ///< never empty
  std::int64_t rows = 0;
  std::int64_t columns = 0;    ///< values of a row
  std::int64_t piece = 0;      ///< rows that the file stores together; 0: any row costs the same
  std::int64_t slab_rows = 1;  ///< rows to read at a time
};

/// The layout of `table` for --row-axis `row_axes` and a selection given by `option`. Throws Error(usage) for
/// axes and slices that it does not have, and Error(data) for no columns or too many.
Hdf5Layout hdf5_layout(const h5::Table& table, const Hdf5Selection& selection,
                       const std::vector<std::int64_t>& row_axes, const std::string& option);

/// Calls `use(box, rows)` for boxes of the data set that together hold `rows`, in order.
void for_each_box(const Hdf5Layout& layout, Range rows,
                  const std::function<void(const h5::Slab&, Range)>& use);

/// The one value of `row` and `column`.
h5::Slab hdf5_place(const Hdf5Layout& layout, std::int64_t row, std::int64_t column);

/// Where the values of a box belong in [rows, stride]: for each axis as stored, the distance between two of
/// its places.
std::vector<std::int64_t> box_strides(const Hdf5Layout& layout, const h5::Slab& box, std::int64_t stride);

/// One data set that is open, and how its rows lie.
struct Hdf5Column {
  h5::Table table;
  Hdf5Layout layout;
};

/// Whether slabs share compressed chunks, which are then worth to be kept.
bool shares_chunks(const Hdf5Column& column);
/// Keeps decompressed what slabs of these data sets share, 256 MiB together at most.
void keep_shared_chunks(std::vector<Hdf5Column>& columns);

}  // namespace trainer::data
