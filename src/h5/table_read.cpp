#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <type_traits>

#include "table_state.h"

namespace trainer::h5 {

namespace {

constexpr std::size_t kLongestText = 64 * 1024;
constexpr std::size_t kMostTextBytes = std::size_t{256} << 20;  // of one read
constexpr double kLargestFloat = std::numeric_limits<float>::max();

/// The selection in the file and what it fills in memory.
struct Selection {
  Handle file_space;
  Handle memory_space;
  std::size_t elements;
};

Selection select(const Table::State& table, const Slab& slab) {
  const std::vector<std::int64_t>& shape = table.facts.shape;
  const std::size_t rank = shape.size();
  require(rank > 0 && slab.start.size() == rank && slab.count.size() == rank && slab.step.size() == rank,
          ErrorKind::internal, table.place, ": read with a slab of another rank");
  std::vector<hsize_t> start(rank), count(rank), step(rank);
  hsize_t elements = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    require(slab.start[i] >= 0 && slab.count[i] > 0 && slab.step[i] > 0 && slab.start[i] < shape[i] &&
                (slab.count[i] - 1) <= (shape[i] - 1 - slab.start[i]) / slab.step[i],
            ErrorKind::internal, table.place, ": read beyond its axis ", i);
    start[i] = static_cast<hsize_t>(slab.start[i]);
    count[i] = static_cast<hsize_t>(slab.count[i]);
    step[i] = static_cast<hsize_t>(slab.step[i]);
    elements *= count[i];
  }
  Handle file_space(checked(H5Dget_space(table.data), table.place, ": cannot be read"), H5Sclose);
  checked(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), step.data(), count.data(), nullptr),
          table.place, ": cannot be read");
  // Of the same rank: else HDF5 maps chunks to memory element by element, 50 times slower.
  Handle memory_space(checked(H5Screate_simple(static_cast<int>(rank), count.data(), nullptr), table.place,
                              ": cannot be read"),
                      H5Sclose);
  return {std::move(file_space), std::move(memory_space), static_cast<std::size_t>(elements)};
}

/// `element` itself or, of a compound's member, a compound of it alone.
Handle memory_type(const Table::State& table, hid_t element) {
  if (table.member.empty()) return {checked(H5Tcopy(element), table.place, ": cannot be read"), H5Tclose};
  Handle type(checked(H5Tcreate(H5T_COMPOUND, H5Tget_size(element)), table.place, ": cannot be read"),
              H5Tclose);
  checked(H5Tinsert(type, table.member.c_str(), 0, element), table.place, ": cannot be read");
  return type;
}

void read_raw(const Table::State& table, const Selection& selection, hid_t element, void* out,
              hid_t transfer = H5P_DEFAULT) {
  const Handle type = memory_type(table, element);
  checked(H5Dread(table.data, type, selection.memory_space, selection.file_space, transfer, out), table.place,
          ": cannot be read; the file may be damaged");
}

bool is_missing(const Table::State& table, double value) {
  return std::ranges::any_of(
      table.missing, [value](double m) { return m == value || (std::isnan(m) && std::isnan(value)); });
}

void require_number(const Table::State& table) {
  require(table.facts.kind != TableKind::text, ErrorKind::data, table.place,
          ": holds texts where numbers are needed");
}

/// HDF5's memory for the texts of one read, bounded: what the file claims may be anything.
void* allocate_text(std::size_t bytes, void* left) {
  auto& budget = *static_cast<std::size_t*>(left);
  if (bytes > std::min(kLongestText, budget)) return nullptr;
  budget -= bytes;
  return std::malloc(std::max<std::size_t>(bytes, 1));
}
void free_text(void* text, void*) { std::free(text); }

/// The texts that HDF5 allocated, given back whatever happens.
class Texts {
 public:
  explicit Texts(std::size_t count) : pointers_(count, nullptr) {}
  ~Texts() {
    for (char* pointer : pointers_) std::free(pointer);
  }
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;
  char** data() { return pointers_.data(); }
  std::vector<std::string> copies() const {
    std::vector<std::string> copies;
    copies.reserve(pointers_.size());
    for (const char* pointer : pointers_) copies.emplace_back(pointer == nullptr ? "" : pointer);
    return copies;
  }

 private:
  std::vector<char*> pointers_;
};

std::vector<std::string> read_variable(const Table::State& table, const Selection& selection) {
  const Handle transfer(checked(H5Pcreate(H5P_DATASET_XFER), table.place, ": cannot be read"), H5Pclose);
  std::size_t budget = kMostTextBytes;
  checked(H5Pset_vlen_mem_manager(transfer, allocate_text, &budget, free_text, nullptr), table.place,
          ": cannot be read");
  Texts texts(selection.elements);
  read_raw(table, selection, table.type, texts.data(), transfer);
  return texts.copies();
}

std::vector<std::string> read_fixed(const Table::State& table, const Selection& selection) {
  const std::size_t size = H5Tget_size(table.type);
  const bool padded_with_spaces = H5Tget_strpad(table.type) == H5T_STR_SPACEPAD;
  std::vector<char> characters(selection.elements * size);
  read_raw(table, selection, table.type, characters.data());
  std::vector<std::string> texts;
  texts.reserve(selection.elements);
  for (std::size_t i = 0; i < selection.elements; ++i) {
    const char* const begin = characters.data() + i * size;
    const char* end = std::find(begin, begin + size, '\0');
    while (padded_with_spaces && end > begin && end[-1] == ' ') --end;
    texts.emplace_back(begin, end);
  }
  return texts;
}

}  // namespace

Table::Table(std::unique_ptr<State> state) : state_(std::move(state)) {}
Table::~Table() = default;
Table::Table(Table&&) noexcept = default;
Table& Table::operator=(Table&&) noexcept = default;

const TableFacts& Table::facts() const { return state_->facts; }
const std::string& Table::place() const { return state_->place; }

void Table::read(const Slab& slab, float* out) const {
  const Inside inside;
  require_number(*state_);
  const Selection selection = select(*state_, slab);
  if (!state_->facts.has_missing && !state_->facts.is_scaled)
    return read_raw(*state_, selection, H5T_NATIVE_FLOAT, out);
  std::vector<double> values(selection.elements);
  read_raw(*state_, selection, H5T_NATIVE_DOUBLE, values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i] * state_->scale + state_->offset;
    out[i] = is_missing(*state_, values[i])    ? std::numeric_limits<float>::quiet_NaN()
             : std::abs(value) > kLargestFloat ? std::numeric_limits<float>::infinity()
                                               : static_cast<float>(value);
  }
}

void Table::read(const Slab& slab, std::uint8_t* out) const {
  const Inside inside;
  require(state_->facts.type == "uint8" && !state_->facts.has_missing && !state_->facts.is_scaled,
          ErrorKind::internal, state_->place, ": does not hold plain bytes");
  read_raw(*state_, select(*state_, slab), H5T_NATIVE_UINT8, out);
}

std::optional<std::int64_t> Table::read(const Slab& slab, std::int64_t* out) const {
  const Inside inside;
  const TableKind kind = state_->facts.kind;
  require(kind == TableKind::integer || kind == TableKind::boolean, ErrorKind::data, state_->place,
          ": holds no integers");
  const Selection selection = select(*state_, slab);
  const bool is_unsigned = kind == TableKind::integer && H5Tget_sign(state_->type) == H5T_SGN_NONE;
  if (!is_unsigned) {
    read_raw(*state_, selection, H5T_NATIVE_INT64, out);
  } else {
    // HDF5 would clip what does not fit in silence.
    std::vector<std::uint64_t> values(selection.elements);
    read_raw(*state_, selection, H5T_NATIVE_UINT64, values.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
      require(values[i] <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
              ErrorKind::data, state_->place, ": holds ", values[i],
              ", which does not fit a signed 64-bit number");
      out[i] = static_cast<std::int64_t>(values[i]);
    }
  }
  const std::vector<std::int64_t>& missing = state_->missing_integers;
  if (missing.empty()) return std::nullopt;
  const std::int64_t* const end = out + selection.elements;
  const std::int64_t* const found = std::find_if(
      out, const_cast<std::int64_t*>(end),
      [&missing](std::int64_t value) { return std::ranges::find(missing, value) != missing.end(); });
  return found == end ? std::nullopt : std::optional<std::int64_t>(found - out);
}

std::vector<std::string> Table::read_texts(const Slab& slab) const {
  const Inside inside;
  require(state_->facts.kind == TableKind::text, ErrorKind::data, state_->place, ": holds no texts");
  const Selection selection = select(*state_, slab);
  return H5Tis_variable_str(state_->type) > 0 ? read_variable(*state_, selection)
                                              : read_fixed(*state_, selection);
}

std::string Table::trouble(const Slab& slab) const {
  const Inside inside;
  const Selection selection = select(*state_, slab);
  require(selection.elements == 1, ErrorKind::internal, state_->place, ": trouble() is of one value");
  double value = 0;
  read_raw(*state_, selection, H5T_NATIVE_DOUBLE, &value);
  if (is_missing(*state_, value))
    return text("holds ", value, ", which its _FillValue or missing_value calls missing");
  if (std::isnan(value)) return "holds nan";
  if (std::isinf(value)) return text("holds ", value > 0 ? "inf" : "-inf");
  return text("holds ", value, state_->facts.is_scaled ? " before scale_factor and add_offset" : "",
              ", which is beyond the range of 32-bit floats");
}

void Table::require_unchanged() const {
  const Inside inside;
  const Stamp now = stamp_of(*state_->file);
  require(now.bytes == state_->file->file_bytes && now.modified == state_->file->modified, ErrorKind::data,
          state_->file->name, ": changed while it was read; leave data alone while it is used");
}

void Table::keep_chunks(std::int64_t bytes) {
  const Inside inside;
  const Handle access(checked(H5Dget_access_plist(state_->data), state_->place, ": cannot be read"),
                      H5Pclose);
  constexpr std::size_t kSlots = 10'007;
  checked(H5Pset_chunk_cache(access, kSlots, static_cast<std::size_t>(bytes), 1.0), state_->place,
          ": its chunk cache cannot be set");
  // HDF5 shares an open data set's cache with all who open it: only one that is closed gets another.
  const Handle file_object(checked(H5Iget_file_id(state_->data), state_->place, ": cannot be read"),
                           H5Fclose);
  const ssize_t length = checked(H5Iget_name(state_->data, nullptr, 0), state_->place, ": cannot be read");
  std::string path(static_cast<std::size_t>(length), '\0');
  checked(H5Iget_name(state_->data, path.data(), path.size() + 1), state_->place, ": cannot be read");
  if (path.empty()) return;
  state_->data.close();
  state_->data = Handle(
      checked(H5Dopen2(file_object, path.c_str(), access), state_->place, ": cannot be read"), H5Oclose);
}

}  // namespace trainer::h5
