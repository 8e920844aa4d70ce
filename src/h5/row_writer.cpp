#include "trainer/h5/row_writer.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>

#include "state.h"

namespace trainer::h5 {

namespace {

static_assert(std::endian::native == std::endian::little, "rows are written as they stand in memory");

/// A file in memory in which holes cost nothing: HDF5 lays the data sets out in it, of which only the headers
/// are ever written.
class Sketch {
 public:
  explicit Sketch(const std::string& name) : name_(name), file_(::memfd_create("headers", MFD_CLOEXEC)) {
    require(file_ >= 0, ErrorKind::data, name_,
            ": cannot be prepared (memfd_create): ", reason_and_remedy(errno));
  }
  ~Sketch() { ::close(file_); }
  Sketch(const Sketch&) = delete;
  Sketch& operator=(const Sketch&) = delete;

  std::string path() const { return text("/proc/self/fd/", file_); }
  std::int64_t size() const {
    struct stat facts {};
    require(::fstat(file_, &facts) == 0, ErrorKind::data, name_, ": cannot be prepared");
    return facts.st_size;
  }
  std::vector<std::byte> read(std::int64_t begin, std::int64_t end) const {
    std::vector<std::byte> bytes(static_cast<std::size_t>(end - begin));
    const ssize_t got = ::pread(file_, bytes.data(), bytes.size(), begin);
    require(got == end - begin, ErrorKind::data, name_, ": cannot be prepared");
    return bytes;
  }

 private:
  std::string name_;
  int file_;
};

std::int64_t size_of(RowSet::Type type) {
  switch (type) {
    case RowSet::Type::i64:
      return 8;
    case RowSet::Type::f32:
    case RowSet::Type::i32:
      return 4;
    case RowSet::Type::u8:
    case RowSet::Type::text:
      break;
  }
  return 1;
}

std::int64_t width_of(const RowSet& set) { return std::max<std::int64_t>(1, set.columns); }

/// `rows`: of the file.
std::int64_t rows_of(const RowSet& set, std::int64_t rows) { return set.rows < 0 ? rows : set.rows; }

/// Bytes of all rows of a set.
std::int64_t bytes_of(const RowSet& set, std::int64_t file_rows, const std::string& name) {
  const std::int64_t rows = rows_of(set, file_rows);
  const std::int64_t row = size_of(set.type) * width_of(set);
  require(set.columns >= 0 && set.columns <= (std::int64_t{1} << 40) && rows >= 0 &&
              rows <= (std::int64_t{1} << 60) / row,
          ErrorKind::data, name, ": ", set.path, " of ", rows, " rows and ", set.columns,
          " columns is larger than a file may be");
  return rows * row;
}

std::vector<hsize_t> shape_of(const RowSet& set, std::int64_t rows, const std::string& place) {
  std::vector<hsize_t> shape{static_cast<hsize_t>(rows)};
  if (set.type == RowSet::Type::text) return shape;
  std::int64_t columns = 1;
  for (const std::int64_t size : set.row_shape) {
    columns *= size;
    shape.push_back(static_cast<hsize_t>(size));
  }
  require(set.row_shape.empty() || columns == set.columns, ErrorKind::internal, place, ": rows of ",
          set.columns, " values have a shape of ", columns);
  if (set.row_shape.empty() && set.columns > 0) shape.push_back(static_cast<hsize_t>(set.columns));
  return shape;
}

/// As stored.
Handle type_of(const RowSet& set, const std::string& place) {
  const auto copy = [&](hid_t type) { return Handle(checked(H5Tcopy(type), place), H5Tclose); };
  switch (set.type) {
    case RowSet::Type::f32:
      return copy(H5T_IEEE_F32LE);
    case RowSet::Type::i64:
      return copy(H5T_STD_I64LE);
    case RowSet::Type::i32:
      return copy(H5T_STD_I32LE);
    case RowSet::Type::u8:
      return copy(H5T_STD_U8LE);
    case RowSet::Type::text:
      break;
  }
  Handle type = copy(H5T_C_S1);
  checked(H5Tset_size(type, static_cast<std::size_t>(width_of(set))), place);
  checked(H5Tset_strpad(type, H5T_STR_NULLPAD), place);
  checked(H5Tset_cset(type, H5T_CSET_UTF8), place);
  return type;
}

/// Makes a data set with a place in the file, which is returned; -1 for one without bytes.
std::int64_t make_set(hid_t file, const RowSet& set, std::int64_t file_rows, const std::string& place) {
  const std::int64_t rows = rows_of(set, file_rows);
  const std::vector<hsize_t> shape = shape_of(set, rows, place);
  const Handle space(checked(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), place),
                     H5Sclose);
  const Handle list(checked(H5Pcreate(H5P_DATASET_CREATE), place), H5Pclose);
  checked(H5Pset_obj_track_times(list, false), place);
  checked(H5Pset_layout(list, H5D_CONTIGUOUS), place);
  checked(H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY), place);
  checked(H5Pset_fill_time(list, H5D_FILL_TIME_NEVER), place);
  const Handle type = type_of(set, place);
  Handle data(checked(H5Dcreate2(file, set.path.c_str(), type, space, H5P_DEFAULT, list, H5P_DEFAULT), place,
                      ": cannot be made"),
              H5Dclose);
  const haddr_t offset = rows > 0 ? H5Dget_offset(data) : HADDR_UNDEF;
  require(rows == 0 || offset != HADDR_UNDEF, ErrorKind::internal, place, ": has no place in the file");
  checked(data.close(), place, ": cannot be made");
  if (!set.also.empty())
    checked(H5Lcreate_hard(file, set.path.c_str(), file, set.also.c_str(), H5P_DEFAULT, H5P_DEFAULT), place,
            ": cannot be called ", set.also, " too");
  return rows > 0 ? static_cast<std::int64_t>(offset) : -1;
}

}  // namespace

RowWriter::RowWriter(AtomicFile file, std::string name, std::int64_t rows, std::vector<RowSet> sets,
                     std::vector<std::int64_t> places)
    : file_(std::move(file)),
      name_(std::move(name)),
      rows_(rows),
      sets_(std::move(sets)),
      places_(std::move(places)) {}

RowWriter::RowWriter(const std::filesystem::path& path, std::int64_t rows, std::vector<RowSet> sets,
                     const Attributes& attributes)
    : RowWriter(AtomicFile(path), path.string(), rows, std::move(sets), {}) {
  make_headers(attributes);
}

RowWriter RowWriter::join(const std::filesystem::path& path, std::int64_t rows, std::vector<RowSet> sets,
                          std::vector<std::int64_t> places) {
  require(places.size() == sets.size(), ErrorKind::internal, path.string(), ": ", places.size(),
          " places for ", sets.size(), " data sets");
  return {AtomicFile::join(path), path.string(), rows, std::move(sets), std::move(places)};
}

void RowWriter::make_headers(const Attributes& attributes) {
  std::int64_t sum = 0;
  for (const RowSet& set : sets_) {
    sum += bytes_of(set, rows_, name_);
    require(sum <= std::int64_t{1} << 60, ErrorKind::data, name_, ": is larger than a file may be");
  }
  file_.reserve(sum);  // a limit of file sizes holds for the sketch too, and HDF5 must not meet it
  const Sketch sketch(name_);
  {
    const Inside inside;
    auto state = std::make_unique<File::State>();
    state->name = name_;
    state->mode = File::State::Mode::writing;
    const Handle access(checked(H5Pcreate(H5P_FILE_ACCESS), name_), H5Pclose);
    checked(H5Pset_fclose_degree(access, H5F_CLOSE_SEMI), name_);
    checked(H5Pset_fapl_stdio(access), name_);  // the other drivers want a path that exists
    const Handle creation(checked(H5Pcreate(H5P_FILE_CREATE), name_), H5Pclose);
    checked(H5Pset_obj_track_times(creation, false), name_);
    state->file = Handle(checked(H5Fcreate(sketch.path().c_str(), H5F_ACC_TRUNC, creation, access), name_,
                                 ": cannot be prepared in memory"),
                         H5Fclose);
    File file(std::move(state));
    file.set_attributes("/", attributes);
    for (const RowSet& set : sets_) {
      const std::size_t slash = set.path.rfind('/');
      if (slash != std::string::npos && slash > 0) file.create_group(set.path.substr(0, slash));
      places_.push_back(make_set(file.state_->file, set, rows_, name_ + ": " + set.path));
      file.set_attributes(set.path, set.attributes);
    }
    checked(file.state_->file.close(), name_, ": cannot be prepared in memory");
  }
  const std::int64_t end = sketch.size();
  file_.reserve(end);
  // The headers are what lies between the rows.
  std::vector<std::pair<std::int64_t, std::int64_t>> taken;
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (places_[s] >= 0) taken.emplace_back(places_[s], places_[s] + bytes_of(sets_[s], rows_, name_));
  taken.emplace_back(end, end);
  std::sort(taken.begin(), taken.end());
  std::int64_t begin = 0;
  for (const auto& [first, past] : taken) {
    if (begin < first) file_.write_at(begin, sketch.read(begin, first));
    begin = std::max(begin, past);
  }
}

void RowWriter::put(std::size_t set, RowSet::Type type, std::int64_t first, std::size_t count,
                    std::span<const std::byte> bytes) {
  require(set < sets_.size() && sets_[set].type == type, ErrorKind::internal, name_, ": set ", set,
          " is not there, or of another type");
  const std::int64_t width = width_of(sets_[set]);
  const auto values = static_cast<std::int64_t>(count);
  const std::int64_t rows = rows_of(sets_[set], rows_);
  require(values % width == 0 && first >= 0 && first <= rows && values / width <= rows - first,
          ErrorKind::internal, name_, ": ", sets_[set].path, ": ", values, " values of rows ", width,
          " wide from row ", first, " on, of ", rows);
  if (count > 0) file_.write_at(places_[set] + first * width * size_of(type), bytes);
}

void RowWriter::write(std::size_t set, std::int64_t first, std::span<const float> values) {
  put(set, RowSet::Type::f32, first, values.size(), std::as_bytes(values));
}

void RowWriter::write(std::size_t set, std::int64_t first, std::span<const std::int64_t> values) {
  put(set, RowSet::Type::i64, first, values.size(), std::as_bytes(values));
}

void RowWriter::write(std::size_t set, std::int64_t first, std::span<const std::uint8_t> values) {
  put(set, RowSet::Type::u8, first, values.size(), std::as_bytes(values));
}

void RowWriter::write(std::size_t set, std::int64_t first, std::span<const std::int32_t> values) {
  put(set, RowSet::Type::i32, first, values.size(), std::as_bytes(values));
}

void RowWriter::write(std::size_t set, std::int64_t first, std::span<const char> values) {
  put(set, RowSet::Type::text, first, values.size(), std::as_bytes(values));
}

}  // namespace trainer::h5
