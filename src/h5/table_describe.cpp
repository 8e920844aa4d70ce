#include <algorithm>
#include <cmath>
#include <limits>
#include <system_error>

#include "table_state.h"

namespace trainer::h5 {

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 4;
/// No more comes out of deflate than 1032 bytes for each that goes in; other filters may do better.
constexpr std::int64_t kDeflateRatio = 1100;
constexpr std::int64_t kAnyRatio = std::int64_t{1} << 20;
/// HDF5 allocates a chunk at once, whatever the file then holds for it.
constexpr std::int64_t kAlwaysAllowedChunk = std::int64_t{64} << 20;
constexpr std::size_t kLongestText = 64 * 1024;
constexpr hssize_t kMostMissing = 16;
constexpr std::size_t kMostSources = 100'000;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (const std::int64_t n : shape) out += text(out.size() > 1 ? ", " : "", n);
  return out + "]";
}

bool is_boolean(hid_t type) {
  const auto names = [type](unsigned i) {
    char* const name = H5Tget_member_name(type, i);
    std::string copy = name == nullptr ? "" : name;
    H5free_memory(name);
    return copy;
  };
  if (H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2) return false;
  const std::string first = names(0), second = names(1);
  if (!((first == "FALSE" && second == "TRUE") || (first == "TRUE" && second == "FALSE"))) return false;
  signed char value = -1;
  return H5Tenum_valueof(type, "TRUE", &value) >= 0 && value == 1;
}

struct Meaning {
  TableKind kind;
  std::string name;
};

Meaning meaning_of(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      if (size > 8) return {TableKind::other, text("integer of ", size, " bytes")};
      return {TableKind::integer, text(H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int", 8 * size)};
    case H5T_FLOAT:
      return {size <= 16 ? TableKind::floating : TableKind::other, text("float", 8 * size)};
    case H5T_ENUM:
      if (is_boolean(type)) return {TableKind::boolean, "bool"};
      return {TableKind::other, "enumeration"};
    case H5T_STRING:
      if (H5Tis_variable_str(type) <= 0 && size > kLongestText)
        return {TableKind::other, text("string of ", size, " bytes")};
      return {TableKind::text, "string"};
    case H5T_COMPOUND:
      return {TableKind::other, "compound"};
    case H5T_ARRAY:
      return {TableKind::other, "array"};
    case H5T_VLEN:
      return {TableKind::other, "variable-length list"};
    case H5T_REFERENCE:
      return {TableKind::other, "reference"};
    case H5T_BITFIELD:
      return {TableKind::other, "bitfield"};
    default:
      return {TableKind::other, "opaque"};
  }
}

Handle stored_type(const Table::State& table) {
  Handle type(checked(H5Dget_type(table.data), table.place, ": cannot be read"), H5Tclose);
  if (table.member.empty()) return type;
  const int index =
      checked(H5Tget_member_index(type, table.member.c_str()), table.place, ": has no member ", table.member);
  return {checked(H5Tget_member_type(type, static_cast<unsigned>(index)), table.place, ": cannot be read"),
          H5Tclose};
}

std::vector<std::int64_t> sizes_of(const std::vector<hsize_t>& sizes, const std::string& place) {
  std::vector<std::int64_t> out;
  for (const hsize_t n : sizes) {
    require(n <= static_cast<hsize_t>(kMost), ErrorKind::data, place, ": claims a size of ", n,
            ", more than any file can hold");
    out.push_back(static_cast<std::int64_t>(n));
  }
  return out;
}

/// Bytes of the elements of `shape`. Throws Error(data) when they are more than can be counted.
std::int64_t bytes_of(const std::vector<std::int64_t>& shape, std::int64_t element,
                      const std::string& place) {
  std::int64_t bytes = element;
  for (const std::int64_t n : shape) {
    require(n > 0, ErrorKind::data, place, ": has the shape ", shape_text(shape), " and so holds no values");
    require(!__builtin_mul_overflow(bytes, n, &bytes) && bytes <= kMost, ErrorKind::data, place,
            ": claims the shape ", shape_text(shape), ", more than any file can hold");
  }
  return bytes;
}

struct Filters {
  bool any = false;
  std::int64_t ratio = 1;  ///< of what comes out to what is stored, at most
};

Filters require_filters(hid_t creation, const std::string& place) {
  Filters filters;
  const int count = checked(H5Pget_nfilters(creation), place, ": cannot be read");
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0, configuration = 0;
    std::size_t values = 0;
    char name[64] = "";
    const H5Z_filter_t id = checked(H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values,
                                                   nullptr, sizeof name, name, &configuration),
                                    place, ": its filters cannot be read");
    name[sizeof name - 1] = '\0';
    for (char& c : name) c = c != '\0' && (c < 0x20 || c > 0x7e) ? '?' : c;
    const bool available = H5Zfilter_avail(id) > 0;
    H5Eclear2(H5E_DEFAULT);
    require(
        available, ErrorKind::data, place, ": is compressed with the filter ", id, " (",
        name[0] == '\0' ? "without a name" : name,
        "), which this HDF5 library does not have; install its plug-in and set HDF5_PLUGIN_PATH, or write "
        "the data set again with gzip");
    filters.any = true;
    const bool keeps_size = id == H5Z_FILTER_SHUFFLE || id == H5Z_FILTER_FLETCHER32;
    if (!keeps_size) {
      // Two in a row multiply.
      const std::int64_t ratio = id == H5Z_FILTER_DEFLATE ? kDeflateRatio : kAnyRatio;
      filters.ratio = filters.ratio > kAnyRatio ? filters.ratio : filters.ratio * ratio;
    }
  }
  return filters;
}

/// Whether `bytes` can come out of `stored` bytes.
bool fits(std::int64_t bytes, std::int64_t stored, std::int64_t ratio) {
  std::int64_t most = 0;
  return __builtin_mul_overflow(stored, ratio, &most) || bytes <= most;
}

void require_chunks(const Table::State& table, hid_t creation, std::int64_t bytes) {
  const std::int64_t file_bytes = table.file->file_bytes;
  const Filters filters = require_filters(creation, table.place);
  const hsize_t reported = H5Dget_storage_size(table.data);
  require(reported > 0, ErrorKind::data, table.place, ": its values were never written to the file");
  require(table.file->links == Links::anywhere || reported <= static_cast<hsize_t>(file_bytes),
          ErrorKind::data, table.place, ": claims ", reported, " stored bytes, more than the file's ",
          file_bytes);
  const auto stored = static_cast<std::int64_t>(std::min<hsize_t>(reported, static_cast<hsize_t>(kMost)));
  require(fits(bytes, stored, filters.ratio), ErrorKind::data, table.place, ": claims the shape ",
          shape_text(table.facts.shape), ", ", bytes, " bytes, but the file holds ", stored,
          " for it; part of it was never written");
  const std::int64_t chunk = bytes_of(table.facts.chunk, table.facts.element_bytes, table.place);
  require(chunk <= kAlwaysAllowedChunk || fits(chunk, stored, filters.ratio), ErrorKind::data, table.place,
          ": its chunks of ", chunk, " bytes cannot come out of the ", stored, " bytes that the file holds");
}

/// HDF5 reads fill values in the place of a source that is not there.
void require_sources(const Table::State& table, hid_t creation) {
  require(table.file->links == Links::anywhere, ErrorKind::data, table.place,
          ": is a virtual data set, whose values lie in other files; say --follow-links to allow that");
  std::size_t count = 0;
  checked(H5Pget_virtual_count(creation, &count), table.place, ": cannot be read");
  require(count > 0 && count <= kMostSources, ErrorKind::data, table.place, ": is a virtual data set of ",
          count, " sources; expected 1 to ", kMostSources);
  for (std::size_t i = 0; i < count; ++i) {
    const ssize_t length =
        checked(H5Pget_virtual_filename(creation, i, nullptr, 0), table.place, ": cannot be read");
    require(static_cast<std::size_t>(length) <= kLongestText, ErrorKind::data, table.place,
            ": a source's name is too long");
    std::string source(static_cast<std::size_t>(length), '\0');
    checked(H5Pget_virtual_filename(creation, i, source.data(), source.size() + 1), table.place,
            ": cannot be read");
    if (source == "." || source.find('%') != std::string::npos) continue;
    std::error_code ignored;
    require(std::filesystem::exists(table.file->folder / source, ignored) ||
                std::filesystem::exists(source, ignored),
            ErrorKind::data, table.place, ": its source file ", source, " is not there");
  }
}

void require_contiguous(const Table::State& table, std::int64_t bytes) {
  const haddr_t offset = H5Dget_offset(table.data);
  H5Eclear2(H5E_DEFAULT);
  require(offset != HADDR_UNDEF, ErrorKind::data, table.place, ": its values were never written to the file");
  const std::int64_t file_bytes = table.file->file_bytes;
  const auto begin = static_cast<std::int64_t>(std::min<haddr_t>(offset, static_cast<haddr_t>(kMost)));
  require(bytes <= file_bytes && begin <= file_bytes - bytes, ErrorKind::data, table.place,
          ": claims the shape ", shape_text(table.facts.shape), ", ", bytes, " bytes, more than the file's ",
          file_bytes, " can hold; the file is damaged or cut off");
}

std::vector<double> read_numbers(const Table::State& table, const char* name, hid_t memory_type) {
  if (H5Aexists(table.data, name) <= 0) {
    H5Eclear2(H5E_DEFAULT);
    return {};
  }
  const std::string place = text(table.place, ": attribute ", name);
  const Handle attribute(checked(H5Aopen(table.data, name, H5P_DEFAULT), place, ": cannot be read"),
                         H5Aclose);
  const Handle type(checked(H5Aget_type(attribute), place, ": cannot be read"), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type);
  if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || H5Tget_size(type) > 16) return {};
  const Handle space(checked(H5Aget_space(attribute), place, ": cannot be read"), H5Sclose);
  const hssize_t count = checked(H5Sget_simple_extent_npoints(space), place, ": cannot be read");
  require(count <= kMostMissing, ErrorKind::data, place, ": has ", count, " values; the limit is ",
          kMostMissing);
  std::vector<double> values(static_cast<std::size_t>(count));
  if (count > 0) checked(H5Aread(attribute, memory_type, values.data()), place, ": cannot be read");
  return values;
}

void add_missing(Table::State& table, double value) {
  table.missing.push_back(value);
  // The attribute may be wider than the values: 1e20 as a double, and rounded to a float in the data.
  if (table.facts.type == "float32" && std::abs(value) <= std::numeric_limits<float>::max())
    table.missing.push_back(static_cast<float>(value));
  if (value == std::floor(value) && std::abs(value) < 0x1p63)
    table.missing_integers.push_back(static_cast<std::int64_t>(value));
}

/// An attribute of one number; `fallback` without it.
double read_factor(const Table::State& table, const char* name, double fallback) {
  const std::vector<double> values = read_numbers(table, name, H5T_NATIVE_DOUBLE);
  if (values.empty()) return fallback;
  require(values.size() == 1 && std::isfinite(values[0]), ErrorKind::data, table.place, ": attribute ", name,
          ": is not one finite number");
  return values[0];
}

}  // namespace

void describe(Table::State& table) {
  TableFacts& facts = table.facts;
  table.type = stored_type(table);
  const Meaning meaning = meaning_of(table.type);
  facts.kind = meaning.kind;
  facts.type = meaning.name;
  const Handle whole(checked(H5Dget_type(table.data), table.place, ": cannot be read"), H5Tclose);
  facts.element_bytes = static_cast<std::int64_t>(H5Tget_size(whole));

  const Handle space(checked(H5Dget_space(table.data), table.place, ": cannot be read"), H5Sclose);
  if (H5Sget_simple_extent_type(space) == H5S_NULL) {
    facts.kind = TableKind::other;
    facts.type = "null";
    return;
  }
  const int rank = checked(H5Sget_simple_extent_ndims(space), table.place, ": cannot be read");
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
  checked(H5Sget_simple_extent_dims(space, sizes.data(), nullptr), table.place, ": cannot be read");
  facts.shape = sizes_of(sizes, table.place);

  const Handle creation(checked(H5Dget_create_plist(table.data), table.place, ": cannot be read"), H5Pclose);
  if (H5Pget_layout(creation) != H5D_CHUNKED) return;
  checked(H5Pget_chunk(creation, rank, sizes.data()), table.place, ": its chunks cannot be read");
  facts.chunk = sizes_of(sizes, table.place);
  facts.is_filtered = checked(H5Pget_nfilters(creation), table.place, ": cannot be read") > 0;
}

void read_conventions(Table::State& table) {
  if (table.facts.kind != TableKind::integer && table.facts.kind != TableKind::floating) return;
  for (const char* name : {"_FillValue", "missing_value"}) {
    for (const double value : read_numbers(table, name, H5T_NATIVE_DOUBLE)) add_missing(table, value);
  }
  table.facts.has_missing = !table.missing.empty();
  table.scale = read_factor(table, "scale_factor", 1);
  table.offset = read_factor(table, "add_offset", 0);
  table.facts.is_scaled = table.scale != 1 || table.offset != 0;
  if (table.facts.is_scaled) table.facts.kind = TableKind::floating;
}

void require_readable(const Table::State& table) {
  const TableFacts& facts = table.facts;
  require(facts.type != "null", ErrorKind::data, table.place,
          ": has a null data space and so holds no values");
  require(facts.type != "compound", ErrorKind::data, table.place,
          ": is a table of several members; name one of them as ", facts.path, ":MEMBER");
  require(facts.kind != TableKind::other, ErrorKind::data, table.place, ": its elements are of the type ",
          facts.type, "; expected integers, floats, booleans or strings");
  require(facts.element_bytes > 0, ErrorKind::data, table.place, ": its elements have no size");
  const std::int64_t bytes = bytes_of(facts.shape, facts.element_bytes, table.place);

  const Handle creation(checked(H5Dget_create_plist(table.data), table.place, ": cannot be read"), H5Pclose);
  if (checked(H5Pget_external_count(creation), table.place, ": cannot be read") > 0) {
    require(table.file->links == Links::anywhere, ErrorKind::data, table.place,
            ": its values lie in another file; say --follow-links to allow that");
    return;
  }
  switch (checked(H5Pget_layout(creation), table.place, ": cannot be read")) {
    case H5D_VIRTUAL:
      return require_sources(table, creation);
    case H5D_CHUNKED:
      return require_chunks(table, creation, bytes);
    case H5D_CONTIGUOUS:
      // Behind an external link another file's size counts; HDF5 then says what it cannot read.
      if (table.file->links == Links::inside) require_contiguous(table, bytes);
      return;
    default:  // compact: in the header itself, which HDF5 has read
      require(bytes <= table.file->file_bytes || table.file->links == Links::anywhere, ErrorKind::data,
              table.place, ": claims ", bytes, " bytes, more than the file's ", table.file->file_bytes,
              " can hold");
  }
}

}  // namespace trainer::h5
