#include "hdf5_files.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "trainer/core/error.h"
#include "trainer/core/finite.h"

namespace trainer::data {
namespace {

/// Axes of a box without those that need no loop of their own.
struct Loops {
  std::vector<std::int64_t> count;
  std::vector<std::int64_t> stride;
};

Loops merged(const h5::Slab& box, const std::vector<std::int64_t>& strides) {
  Loops loops;
  for (std::size_t axis = 0; axis < strides.size(); ++axis) {
    if (box.count[axis] == 1) continue;
    if (!loops.count.empty() && loops.stride.back() == strides[axis] * box.count[axis]) {
      loops.count.back() *= box.count[axis];
      loops.stride.back() = strides[axis];
    } else {
      loops.count.push_back(box.count[axis]);
      loops.stride.push_back(strides[axis]);
    }
  }
  if (loops.count.empty()) loops = {{1}, {1}};
  return loops;
}

template <class T>
const T* scatter(const Loops& loops, std::size_t level, const T* from, T* to) {
  const std::int64_t count = loops.count[level];
  const std::int64_t stride = loops.stride[level];
  if (level + 1 < loops.count.size()) {
    for (std::int64_t i = 0; i < count; ++i) from = scatter(loops, level + 1, from, to + i * stride);
    return from;
  }
  if (stride == 1) return std::copy_n(from, count, to), from + count;
  for (std::int64_t i = 0; i < count; ++i) to[i * stride] = from[i];
  return from + count;
}

/// Reads boxes by `read(box, T*)` and puts their values where they belong.
template <class T, class Read>
void read_boxes(const Hdf5Layout& layout, Range rows, T* out, std::int64_t stride, const Read& read) {
  std::vector<T> values;
  for_each_box(layout, rows, [&](const h5::Slab& box, Range of_box) {
    const Loops loops = merged(box, box_strides(layout, box, stride));
    T* const to = out + (of_box.begin - rows.begin) * stride;
    if (loops.count.size() == 1 && loops.stride[0] == 1) return read(box, to, of_box);
    values.resize(static_cast<std::size_t>(of_box.size() * layout.columns));
    read(box, values.data(), of_box);
    scatter(loops, 0, values.data(), to);
  });
}

void require_finite(const Hdf5Column& column, Range rows, const float* out, std::int64_t stride,
                    const MissingRule& missing) {
  const std::int64_t columns = column.layout.columns;
  const bool is_dense = stride == columns;
  if (is_dense && all_finite(out, rows.size() * columns)) return;
  for (std::int64_t row = rows.begin; row < rows.end; ++row, out += stride) {
    if (all_finite(out, columns)) continue;
    const auto bad = std::find_if_not(out, out + columns, [&missing](float value) {
      return std::isfinite(value) || (missing.is_kept && std::isnan(value));
    });
    if (bad == out + columns) continue;
    const std::int64_t j = bad - out;
    fail(ErrorKind::data, column.table.place(), ": row ", row, ", column ", j, " ",
         column.table.trouble(hdf5_place(column.layout, row, j)),
         std::isnan(*bad) ? "; " + missing.remedy : "; mend or leave out such rows");
  }
}

/// "; their axes of 48 agree: try --row-axis 1", where rows differ but another axis fits; else "".
std::string axis_hint(const Hdf5Column& a, const Hdf5Column& b) {
  const std::vector<std::int64_t>&one = a.table.facts().shape, &other = b.table.facts().shape;
  const auto hint = [](std::int64_t size, std::int64_t axis) {
    return text("; both have ", size, " on axis ", axis, ": try --row-axis ", axis);
  };
  for (std::size_t axis = 0; axis < std::min(one.size(), other.size()); ++axis)
    if (one[axis] == other[axis] && one[axis] > 1) return hint(one[axis], static_cast<std::int64_t>(axis));
  if (!one.empty() && !other.empty() && one.back() == other.back() && one.back() > 1)
    return hint(one.back(), -1);
  return "";
}

std::string rows_text(const Hdf5Column& column) {
  return text(column.table.place(), " has ", column.layout.rows, " rows");
}

void require_one_column(const Hdf5Column& column) {
  require(column.layout.columns == 1, ErrorKind::data, column.table.place(), ": has ", column.layout.columns,
          " values a row where one is needed");
}

}  // namespace

std::vector<Range> runs_of(Range all, std::int64_t most) {
  std::vector<Range> runs;
  for (std::int64_t begin = all.begin; begin < all.end; begin += most)
    runs.push_back({begin, std::min(all.end, begin + most)});
  return runs;
}

std::vector<Hdf5Column> open_side(const h5::TableFile& file, const Hdf5Side& side, const Hdf5Rows& rows) {
  std::vector<Hdf5Column> columns;
  for (const Hdf5Selection& selection : side.selections) {
    h5::Table table = file.table(selection.path);
    Hdf5Layout layout = hdf5_layout(table, selection, rows.row_axes, side.option);
    columns.push_back({std::move(table), std::move(layout)});
    require(columns.back().layout.rows == columns.front().layout.rows, ErrorKind::data,
            rows_text(columns.front()), " but ", rows_text(columns.back()),
            axis_hint(columns.front(), columns.back()), "; --row-axis says which axis counts rows");
  }
  keep_shared_chunks(columns);
  return columns;
}

Hdf5Open open_rows(const Hdf5Rows& rows, std::size_t index) {
  const h5::TableFile inputs = h5::TableFile::open(rows.inputs.paths[index], rows.links);
  Hdf5Open open;
  open.inputs = open_side(inputs, rows.inputs, rows);
  open.rows = open.inputs.front().layout.rows;
  if (rows.targets.selections.empty()) return open;
  const std::string& path = rows.targets.paths[index];
  const bool is_same = path == rows.inputs.paths[index];
  open.targets = open_side(is_same ? inputs : h5::TableFile::open(path, rows.links), rows.targets, rows);
  require(open.targets.front().layout.rows == open.rows, ErrorKind::data, rows_text(open.inputs.front()),
          " but ", rows_text(open.targets.front()), axis_hint(open.inputs.front(), open.targets.front()),
          "; inputs and targets need the same rows in the same order");
  return open;
}

void read_floats(const Hdf5Column& column, Range rows, float* out, std::int64_t stride,
                 const MissingRule& missing) {
  read_boxes(column.layout, rows, out, stride,
             [&](const h5::Slab& box, float* to, Range) { column.table.read(box, to); });
  require_finite(column, rows, out, stride, missing);
}

void read_bytes(const Hdf5Column& column, Range rows, std::uint8_t* out, std::int64_t stride) {
  read_boxes(column.layout, rows, out, stride,
             [&](const h5::Slab& box, std::uint8_t* to, Range) { column.table.read(box, to); });
}

std::vector<std::int64_t> read_integers(const Hdf5Column& column, Range rows) {
  require_one_column(column);
  std::vector<std::int64_t> values(static_cast<std::size_t>(rows.size()));
  read_boxes(column.layout, rows, values.data(), 1, [&](const h5::Slab& box, std::int64_t* to, Range of_box) {
    const std::optional<std::int64_t> missing = column.table.read(box, to);
    // Joined row axes may be stored in another order than rows are counted; then the box is what can be
    // named.
    require(!missing, ErrorKind::data, column.table.place(), ": row ",
            of_box.begin + (column.layout.row_axes.size() == 1 ? missing.value_or(0) : 0),
            column.layout.row_axes.size() == 1 ? "" : " or one soon after", " holds ",
            missing ? to[*missing] : 0, ", which its _FillValue or missing_value calls missing");
  });
  return values;
}

std::vector<std::string> read_texts(const Hdf5Column& column, Range rows) {
  require_one_column(column);
  std::vector<std::string> values(static_cast<std::size_t>(rows.size()));
  read_boxes(column.layout, rows, values.data(), 1, [&](const h5::Slab& box, std::string* to, Range) {
    std::vector<std::string> read = column.table.read_texts(box);
    std::move(read.begin(), read.end(), to);
  });
  return values;
}

}  // namespace trainer::data
