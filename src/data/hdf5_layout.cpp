#include "hdf5_layout.h"

#include <algorithm>
#include <limits>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// Of one read: 2 MiB as floats, 4 MiB where doubles are read in between.
constexpr std::int64_t kSlabElements = std::int64_t{1} << 19;
constexpr std::int64_t kSlabTextBytes = std::int64_t{4} << 20;
constexpr std::int64_t kGuessedTextBytes = 256;  // of one of variable length
/// Rows whose values lie far apart, when nothing else says what to read together: a few 16 KiB pieces.
constexpr std::int64_t kStridedPiece = 4096;
constexpr std::int64_t kMostKeptBytes = std::int64_t{256} << 20;
constexpr std::int64_t kMostColumns = std::numeric_limits<std::int32_t>::max();

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (const std::int64_t n : shape) out += text(out.size() > 1 ? ", " : "", n);
  return out + "]";
}

std::vector<std::size_t> resolve_axes(const h5::Table& table, const std::vector<std::int64_t>& asked) {
  const auto rank = static_cast<std::int64_t>(table.facts().shape.size());
  require(rank > 0, ErrorKind::data, table.place(), ": is one value; expected rows");
  std::vector<std::size_t> axes;
  for (const std::int64_t axis : asked) {
    require(axis >= -rank && axis < rank, ErrorKind::usage, "--row-axis: ", table.place(), " has the shape ",
            shape_text(table.facts().shape), " and so no axis ", axis, "; expected ", -rank, " to ",
            rank - 1);
    const auto resolved = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
    require(std::ranges::find(axes, resolved) == axes.end(), ErrorKind::usage, "--row-axis: of ",
            table.place(), " with the shape ", shape_text(table.facts().shape), " it names axis ", resolved,
            " twice");
    axes.push_back(resolved);
  }
  return axes;
}

struct Taken {
  std::int64_t start, count, step;
};

Taken take(const Hdf5Slice& slice, std::int64_t size, const std::string& place) {
  const auto resolve = [&](std::int64_t value, std::int64_t last) {
    require(value >= -size && value <= last, ErrorKind::usage, place, ": the place ", value,
            " is not on the axis, which has ", size);
    return value < 0 ? value + size : value;
  };
  if (slice.is_index) return {resolve(*slice.begin, size - 1), 1, 1};
  const std::int64_t begin = slice.begin ? resolve(*slice.begin, size) : 0;
  const std::int64_t end = slice.end ? resolve(*slice.end, size) : size;
  require(begin < end, ErrorKind::usage, place, ": nothing is left of the axis, which has ", size);
  return {begin, (end - begin - 1) / slice.step + 1, slice.step};
}

void apply_slices(Hdf5Layout& layout, const h5::Table& table, const Hdf5Selection& selection,
                  const std::string& option) {
  const std::vector<std::int64_t>& shape = table.facts().shape;
  const std::string place = text(option, ": ", selection.written, " of ", table.place());
  require(selection.slices.size() <= shape.size(), ErrorKind::usage, place, ": names ",
          selection.slices.size(), " axes, but the shape is ", shape_text(shape));
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const Hdf5Slice slice = axis < selection.slices.size() ? selection.slices[axis] : Hdf5Slice{};
    const bool counts_rows = std::ranges::find(layout.row_axes, axis) != layout.row_axes.end();
    require(!counts_rows || slice.is_all(), ErrorKind::usage, place, ": axis ", axis,
            " counts the rows and is written as \":\"; --row-axis says which one does");
    const Taken taken = take(slice, shape[axis], text(place, ": axis ", axis));
    layout.whole.start.push_back(taken.start);
    layout.whole.count.push_back(taken.count);
    layout.whole.step.push_back(taken.step);
    if (counts_rows) continue;
    layout.column_axes.push_back(axis);
    if (!slice.is_index) layout.row_shape.push_back(taken.count);
  }
  if (layout.row_shape.empty()) layout.row_shape.push_back(1);
}

/// Rows that are stored together: of a chunk, or of one place of a leading row axis when other axes lie
/// between two row axes.
std::int64_t stored_together(const Hdf5Layout& layout, const h5::TableFacts& facts) {
  std::int64_t inner = layout.rows;
  for (std::size_t i = 0; i < layout.row_axes.size(); ++i) {
    const std::size_t axis = layout.row_axes[i];
    inner /= facts.shape[axis];
    const bool is_last = i + 1 == layout.row_axes.size();
    if (!facts.chunk.empty() && (facts.chunk[axis] > 1 || is_last))
      return std::min(layout.rows, std::min(facts.chunk[axis], facts.shape[axis]) * inner);
    if (facts.chunk.empty() && axis != i)
      return i == 0 ? std::min(layout.rows, kStridedPiece) : inner * facts.shape[axis];
  }
  return 0;
}

void emit(const Hdf5Layout& layout, std::size_t level, Range rows, std::int64_t first, h5::Slab& box,
          const std::function<void(const h5::Slab&, Range)>& use) {
  const std::size_t axis = layout.row_axes[level];
  std::int64_t inner = 1;
  for (std::size_t i = level + 1; i < layout.row_axes.size(); ++i)
    inner *= layout.whole.count[layout.row_axes[i]];
  while (rows.begin < rows.end) {
    const std::int64_t place = rows.begin / inner;
    const std::int64_t offset = rows.begin % inner;
    const std::int64_t full = (rows.end - rows.begin) / inner;
    box.start[axis] = place;
    std::int64_t done = 0;
    if (offset == 0 && full > 0) {
      box.count[axis] = full;
      for (std::size_t i = level + 1; i < layout.row_axes.size(); ++i) {
        box.start[layout.row_axes[i]] = 0;
        box.count[layout.row_axes[i]] = layout.whole.count[layout.row_axes[i]];
      }
      done = full * inner;
      use(box, {first, first + done});
    } else {
      box.count[axis] = 1;
      done = std::min(inner - offset, rows.end - rows.begin);
      emit(layout, level + 1, {offset, offset + done}, first, box, use);
    }
    rows.begin += done;
    first += done;
  }
}

}  // namespace

Hdf5Layout hdf5_layout(const h5::Table& table, const Hdf5Selection& selection,
                       const std::vector<std::int64_t>& row_axes, const std::string& option) {
  Hdf5Layout layout;
  layout.row_axes = resolve_axes(table, row_axes);
  apply_slices(layout, table, selection, option);
  layout.rows = layout.columns = 1;
  for (const std::size_t axis : layout.row_axes) layout.rows *= layout.whole.count[axis];
  for (const std::size_t axis : layout.column_axes) layout.columns *= layout.whole.count[axis];
  require(layout.columns <= kMostColumns, ErrorKind::data, table.place(), ": has ", layout.columns,
          " values a row; the limit is ", kMostColumns, " (--row-axis says which axis counts rows)");
  layout.piece = stored_together(layout, table.facts());
  const std::int64_t text_bytes = std::max(table.facts().element_bytes, kGuessedTextBytes);
  const std::int64_t elements =
      table.facts().kind == h5::TableKind::text ? kSlabTextBytes / text_bytes : kSlabElements;
  const std::int64_t most = std::max<std::int64_t>(1, elements / layout.columns);
  const bool whole_pieces = layout.piece > 0 && layout.piece <= most;
  layout.slab_rows = whole_pieces ? most / layout.piece * layout.piece : most;
  return layout;
}

void for_each_box(const Hdf5Layout& layout, Range rows,
                  const std::function<void(const h5::Slab&, Range)>& use) {
  h5::Slab box = layout.whole;
  while (rows.begin < rows.end) {
    // Slabs end where those of any other call do, so that chunks are not cut.
    const std::int64_t end = std::min(rows.end, (rows.begin / layout.slab_rows + 1) * layout.slab_rows);
    emit(layout, 0, {rows.begin, end}, rows.begin, box, use);
    rows.begin = end;
  }
}

h5::Slab hdf5_place(const Hdf5Layout& layout, std::int64_t row, std::int64_t column) {
  h5::Slab place = layout.whole;
  std::ranges::fill(place.count, 1);
  for (std::size_t i = layout.row_axes.size(); i-- > 0;) {
    const std::size_t axis = layout.row_axes[i];
    place.start[axis] = row % layout.whole.count[axis];
    row /= layout.whole.count[axis];
  }
  for (std::size_t i = layout.column_axes.size(); i-- > 0;) {
    const std::size_t axis = layout.column_axes[i];
    place.start[axis] += column % layout.whole.count[axis] * layout.whole.step[axis];
    column /= layout.whole.count[axis];
  }
  return place;
}

std::vector<std::int64_t> box_strides(const Hdf5Layout& layout, const h5::Slab& box, std::int64_t stride) {
  std::vector<std::int64_t> strides(box.count.size());
  std::int64_t distance = stride;
  for (std::size_t i = layout.row_axes.size(); i-- > 0;) {
    strides[layout.row_axes[i]] = distance;
    distance *= box.count[layout.row_axes[i]];
  }
  distance = 1;
  for (std::size_t i = layout.column_axes.size(); i-- > 0;) {
    strides[layout.column_axes[i]] = distance;
    distance *= box.count[layout.column_axes[i]];
  }
  return strides;
}

bool shares_chunks(const Hdf5Column& column) {
  return column.table.facts().is_filtered && column.layout.piece > column.layout.slab_rows;
}

void keep_shared_chunks(std::vector<Hdf5Column>& columns) {
  const auto sharing = std::ranges::count_if(columns, shares_chunks);
  for (Hdf5Column& column : columns) {
    if (!shares_chunks(column)) continue;
    const h5::TableFacts& facts = column.table.facts();
    const std::vector<std::size_t>& row_axes = column.layout.row_axes;
    double bytes = static_cast<double>(facts.element_bytes);
    for (std::size_t axis = 0; axis < facts.shape.size(); ++axis) {
      const std::int64_t chunk = facts.chunk[axis];
      const bool counts_rows = std::ranges::find(row_axes, axis) != row_axes.end();
      bytes *= static_cast<double>(counts_rows ? chunk : (facts.shape[axis] + chunk - 1) / chunk * chunk);
    }
    // Some of them kept would be of no use: the next slab needs them all, in the same order.
    if (bytes <= static_cast<double>(kMostKeptBytes / sharing))
      column.table.keep_chunks(static_cast<std::int64_t>(bytes));
  }
}

}  // namespace trainer::data
