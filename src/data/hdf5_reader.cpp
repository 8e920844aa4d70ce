#include "hdf5_reader.h"

#include <algorithm>
#include <limits>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::size_t kMostOpen = 16;
/// HDF5 may keep 1 MiB of chunks of each.
constexpr std::size_t kMostOpenChunked = 64;
constexpr std::int64_t kRowsAtOnce = std::int64_t{1} << 16;

std::size_t most_open(const Hdf5Open& file) {
  std::size_t chunked = 0;
  for (const auto* side : {&file.inputs, &file.targets}) {
    if (std::ranges::any_of(*side, shares_chunks)) return 1;
    for (const Hdf5Column& column : *side) chunked += column.table.facts().chunk.empty() ? 0 : 1;
  }
  return chunked == 0 ? kMostOpen : std::clamp<std::size_t>(kMostOpenChunked / chunked, 1, kMostOpen);
}

void read_side(const std::vector<Hdf5Column>& columns, Range rows, const MissingRule& missing, float* out) {
  std::int64_t stride = 0;
  for (const Hdf5Column& column : columns) stride += column.layout.columns;
  for (const Hdf5Column& column : columns) {
    read_floats(column, rows, out, stride, missing);
    out += column.layout.columns;
  }
}

/// Numbers of groups: an integer is its own; texts are counted as they are met.
class GroupNumbers {
 public:
  void add(const Hdf5Column& column, std::vector<std::int64_t>& out) {
    for (const Range run : runs_of({0, column.layout.rows}, kRowsAtOnce)) {
      if (column.table.facts().kind != h5::TableKind::text) {
        const std::vector<std::int64_t> values = read_integers(column, run);
        out.insert(out.end(), values.begin(), values.end());
        continue;
      }
      for (std::string& name : read_texts(column, run)) {
        const auto next = static_cast<std::int64_t>(numbers_.size());
        out.push_back(numbers_.try_emplace(std::move(name), next).first->second);
      }
    }
  }

 private:
  std::unordered_map<std::string, std::int64_t> numbers_;
};

}  // namespace

Hdf5Reader::Hdf5Reader(Hdf5Rows rows, Hdf5Look look, Hdf5Targets targets)
    : rows_(std::move(rows)), look_(std::move(look)), targets_(std::move(targets)) {
  for (std::size_t i = 0; i < targets_.names.size(); ++i)
    class_indices_.emplace(targets_.names[i], static_cast<std::int32_t>(i));
}

const Hdf5Open& Hdf5Reader::open(std::size_t file) {
  const auto found = std::ranges::find(opened_, file, &std::pair<std::size_t, Hdf5Open>::first);
  if (found != opened_.end()) {
    opened_.splice(opened_.begin(), opened_, found);
    return opened_.front().second;
  }
  Hdf5Open now = open_rows(rows_, file);
  require(now.rows == look_.firsts[file + 1] - look_.firsts[file] && parts_of(now) == look_.parts,
          ErrorKind::data, rows_.inputs.paths[file], ": has changed since the program started: it has ",
          now.rows, " rows now, had ", look_.firsts[file + 1] - look_.firsts[file],
          ", or its types or shapes differ; leave data alone while it is used");
  const std::size_t most = most_open(now);
  while (opened_.size() >= most) opened_.pop_back();
  opened_.emplace_front(file, std::move(now));
  return opened_.front().second;
}

void Hdf5Reader::read(Range rows, const RowStore& store) {
  std::int64_t features = 0, values = 0;
  for (const Hdf5Part& part : look_.parts.inputs) features += part.columns;
  for (const Hdf5Part& part : look_.parts.targets) values += part.columns;
  const auto after = std::ranges::upper_bound(look_.firsts, rows.begin);
  auto file = static_cast<std::size_t>(after - look_.firsts.begin()) - 1;
  for (std::int64_t begin = rows.begin; begin < rows.end; ++file) {
    const std::int64_t end = std::min(rows.end, look_.firsts[file + 1]);
    const std::int64_t done = begin - rows.begin;
    RowStore part;
    if (store.bytes != nullptr) part.bytes = store.bytes + done * features;
    if (store.floats != nullptr) part.floats = store.floats + done * features;
    if (store.classes != nullptr) part.classes = store.classes + done;
    if (store.values != nullptr) part.values = store.values + done * values;
    read_file(open(file), {begin - look_.firsts[file], end - look_.firsts[file]}, part);
    begin = end;
  }
}

void Hdf5Reader::read_file(const Hdf5Open& file, Range rows, const RowStore& store) const {
  if (store.classes != nullptr) read_classes(file.targets.at(0), rows, store.classes);
  if (store.values != nullptr) read_side(file.targets, rows, rows_.missing_targets, store.values);
  if (store.floats != nullptr) read_side(file.inputs, rows, rows_.missing_inputs, store.floats);
  if (store.bytes != nullptr) read_bytes(file.inputs.at(0), rows, store.bytes, file.inputs[0].layout.columns);
  file.inputs.at(0).table.require_unchanged();
  if (!file.targets.empty()) file.targets[0].table.require_unchanged();
}

void Hdf5Reader::read_classes(const Hdf5Column& column, Range rows, std::int32_t* out) const {
  for (const Range run : runs_of(rows, kRowsAtOnce)) {
    std::int64_t row = run.begin;
    if (targets_.form == Hdf5Form::texts) {
      for (const std::string& name : read_texts(column, run)) *out++ = class_of(name, column, row++);
    } else if (targets_.form == Hdf5Form::integers) {
      for (const std::int64_t label : read_integers(column, run)) {
        // As a double, what is beyond 2^53 stays far beyond every limit.
        *out++ = class_of(static_cast<double>(label), column, row++);
      }
    } else {
      std::vector<float> labels(static_cast<std::size_t>(run.size()));
      read_floats(column, run, labels.data(), 1);
      for (const float label : labels) *out++ = class_of(double{label}, column, row++);
    }
  }
}

std::int32_t Hdf5Reader::class_of(const std::string& name, const Hdf5Column& column, std::int64_t row) const {
  const auto found = class_indices_.find(name);
  if (found != class_indices_.end()) return found->second;
  std::string shown = name.substr(0, 60);
  std::ranges::replace_if(
      shown, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  fail(ErrorKind::data, column.table.place(), ": row ", row, " is of the class '", shown,
       "', which is none of the ", targets_.names.size(), " known ones (", targets_.names.at(0), ", ...)");
}

std::int32_t Hdf5Reader::class_of(double label, const Hdf5Column& column, std::int64_t row) const {
  constexpr double kMost = std::numeric_limits<std::int32_t>::max();
  const double most = targets_.count > 0 ? static_cast<double>(targets_.count) : kMost;
  require(label >= 0 && label<most, ErrorKind::data, column.table.place(), ": row ", row, " has the label ",
                              label, "; ", targets_.count> 0
              ? text("the classes are 0 to ", targets_.count - 1)
              : std::string("classes are counted from 0"),
          " (for targets that are numbers say --task regression)");
  const auto index = static_cast<std::int32_t>(label);
  require(static_cast<double>(index) == label, ErrorKind::data, column.table.place(), ": row ", row,
          " has the label ", label,
          ", which is not a whole number (for targets that are numbers say --task regression)");
  return index;
}

std::vector<std::int64_t> Hdf5Reader::groups(const std::string& path) const {
  const std::string option = "--validation: groups";
  Hdf5Side side{option, {}, parse_hdf5_selections(option, path)};
  require(side.selections.size() == 1, ErrorKind::usage, option, ": ", path, " names ",
          side.selections.size(), " data sets; expected one");
  Hdf5Rows along = rows_;
  along.row_axes = {0};
  GroupNumbers numbers;
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < rows_.inputs.paths.size(); ++i) {
    h5::TableFile file = h5::TableFile::open(rows_.inputs.paths[i], rows_.links);
    if (!file.has(side.selections[0].path) && !rows_.targets.selections.empty())
      file = h5::TableFile::open(rows_.targets.paths[i], rows_.links);
    const std::vector<Hdf5Column> columns = open_side(file, side, along);
    const Hdf5Column& column = columns[0];
    const std::int64_t rows = look_.firsts[i + 1] - look_.firsts[i];
    require(column.table.facts().shape.size() == 1 && column.layout.rows == rows, ErrorKind::data,
            column.table.place(), ": groups are a list of one value for each of the ", rows, " rows; it has ",
            column.table.facts().shape.size(), " axes and ", column.layout.rows, " rows");
    numbers.add(column, out);
  }
  return out;
}

}  // namespace trainer::data
