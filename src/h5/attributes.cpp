#include <algorithm>
#include <limits>
#include <optional>

#include "state.h"
#include "trainer/h5/file.h"

namespace trainer::h5 {

namespace {

constexpr std::size_t kLargestAttributeBytes =
    64000;  // HDF5's limit is a little under 64 KiB for value and description together

Handle text_type() {
  Handle type(checked(H5Tcopy(H5T_C_S1), "no text type"), H5Tclose);
  checked(H5Tset_size(type, H5T_VARIABLE), "text type");
  checked(H5Tset_cset(type, H5T_CSET_UTF8), "text type");
  return type;
}

// How a value lies on the file and in memory; an absent length is a scalar.
struct Stored {
  hid_t stored;
  hid_t given;
  std::optional<hsize_t> length;
  const void* values;
  std::size_t bytes;
};

void write_attribute(hid_t object, const std::string& place, const std::string& name, const Stored& value) {
  require(value.bytes <= kLargestAttributeBytes, ErrorKind::internal, place, ": an attribute of ",
          value.bytes, " bytes; the limit is ", kLargestAttributeBytes);
  const Handle space(
      checked(value.length ? H5Screate_simple(1, &*value.length, nullptr) : H5Screate(H5S_SCALAR), place,
              ": cannot be written"),
      H5Sclose);
  Handle attribute(checked(H5Acreate2(object, name.c_str(), value.stored, space, H5P_DEFAULT, H5P_DEFAULT),
                           place, ": cannot be written"),
                   H5Aclose);
  if (value.length != hsize_t{0})
    checked(H5Awrite(attribute, value.given, value.values), place, ": cannot be written");
  checked(attribute.close(), place, ": cannot be written");
}

const char* characters(const std::string& place, const std::string& value) {
  require(value.find('\0') == std::string::npos, ErrorKind::internal, place,
          ": a text with a NUL character in it");
  return value.c_str();
}

struct Writer {
  hid_t object;
  std::string place;
  std::string name;

  void operator()(std::int64_t value) const {
    write_attribute(object, place, name,
                    {H5T_STD_I64LE, H5T_NATIVE_INT64, std::nullopt, &value, sizeof value});
  }
  void operator()(double value) const {
    write_attribute(object, place, name,
                    {H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, std::nullopt, &value, sizeof value});
  }
  void operator()(const std::string& value) const {
    const Handle type = text_type();
    const char* pointer = characters(place, value);
    write_attribute(object, place, name, {type, type, std::nullopt, &pointer, 16});
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    write_attribute(object, place, name,
                    {H5T_STD_I64LE, H5T_NATIVE_INT64, values.size(), values.data(), values.size() * 8});
  }
  void operator()(const std::vector<double>& values) const {
    write_attribute(object, place, name,
                    {H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values.size(), values.data(), values.size() * 8});
  }
  void operator()(const std::vector<std::string>& values) const {
    const Handle type = text_type();
    std::vector<const char*> pointers;
    pointers.reserve(values.size());
    for (const std::string& value : values) pointers.push_back(characters(place, value));
    write_attribute(object, place, name,
                    {type, type, pointers.size(), pointers.data(), pointers.size() * 16});
  }
};

// The texts that HDF5 allocated, given back whatever happens.
class Texts {
 public:
  Texts(hid_t type, hid_t space, std::size_t count) : type_(type), space_(space), pointers_(count, nullptr) {}
  ~Texts() { H5Dvlen_reclaim(type_, space_, H5P_DEFAULT, pointers_.data()); }
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;
  char** data() { return pointers_.data(); }
  std::vector<std::string> copies() const {
    std::vector<std::string> copies;
    for (const char* pointer : pointers_) copies.emplace_back(pointer == nullptr ? "" : pointer);
    return copies;
  }

 private:
  hid_t type_;
  hid_t space_;
  std::vector<char*> pointers_;
};

std::vector<std::string> read_fixed_texts(hid_t attribute, hid_t type, std::size_t count, std::size_t size,
                                          const std::string& place) {
  std::vector<char> characters(count * size);
  if (count > 0) checked(H5Aread(attribute, type, characters.data()), place, ": cannot be read");
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) {
    const char* begin = characters.data() + i * size;
    texts.emplace_back(begin, std::find(begin, begin + size, '\0'));
  }
  return texts;
}

std::vector<std::string> read_texts(hid_t attribute, hid_t type, hid_t space, std::size_t count,
                                    std::size_t size, const std::string& place) {
  if (checked(H5Tis_variable_str(type), place) == 0)
    return read_fixed_texts(attribute, type, count, size, place);
  if (count == 0) return {};
  Texts texts(type, space, count);
  checked(H5Aread(attribute, type, texts.data()), place, ": cannot be read");
  return texts.copies();
}

template <class Value>
std::vector<Value> read_numbers(hid_t attribute, hid_t type, std::size_t count, const std::string& place) {
  std::vector<Value> values(count);
  if (count > 0) checked(H5Aread(attribute, type, values.data()), place, ": cannot be read");
  return values;
}

std::vector<std::int64_t> read_integers(hid_t attribute, hid_t type, std::size_t count,
                                        const std::string& place) {
  if (H5Tget_sign(type) == H5T_SGN_2)
    return read_numbers<std::int64_t>(attribute, H5T_NATIVE_INT64, count, place);
  std::vector<std::int64_t> values;
  for (const std::uint64_t value : read_numbers<std::uint64_t>(attribute, H5T_NATIVE_UINT64, count, place)) {
    require(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()), ErrorKind::data,
            place, ": ", value, " does not fit a signed 64-bit number");
    values.push_back(static_cast<std::int64_t>(value));
  }
  return values;
}

template <class Value>
Attribute scalar_or_list(std::vector<Value> values, bool is_list) {
  if (is_list) return values;
  return std::move(values.front());
}

Attribute read_attribute(hid_t object, const std::string& name, std::int64_t file_bytes,
                         const std::string& place) {
  const Handle attribute(checked(H5Aopen(object, name.c_str(), H5P_DEFAULT), place, ": cannot be read"),
                         H5Aclose);
  const Handle type(checked(H5Aget_type(attribute), place, ": cannot be read"), H5Tclose);
  const Handle space(checked(H5Aget_space(attribute), place, ": cannot be read"), H5Sclose);
  const int rank = checked(H5Sget_simple_extent_ndims(space), place, ": cannot be read");
  require(H5Sget_simple_extent_type(space) != H5S_NULL && rank <= 1, ErrorKind::data, place,
          ": is neither one value nor a list");
  const auto count =
      static_cast<std::size_t>(checked(H5Sget_simple_extent_npoints(space), place, ": cannot be read"));
  const std::size_t size = H5Tget_size(type);
  require(size > 0 && count <= static_cast<std::size_t>(file_bytes) / size, ErrorKind::data, place,
          ": claims ", count, " values of ", size, " bytes, more than the file holds");

  // A wider number would be clipped in silence.
  require(H5Tget_class(type) != H5T_INTEGER || size <= 8, ErrorKind::data, place, ": is a number of ", size,
          " bytes; the limit is 8");

  const bool is_list = rank == 1;
  switch (H5Tget_class(type)) {
    case H5T_STRING:
      return scalar_or_list(read_texts(attribute, type, space, count, size, place), is_list);
    case H5T_INTEGER:
      return scalar_or_list(read_integers(attribute, type, count, place), is_list);
    case H5T_FLOAT:
      return scalar_or_list(read_numbers<double>(attribute, H5T_NATIVE_DOUBLE, count, place), is_list);
    default:
      fail(ErrorKind::data, place, ": is neither text nor a number");
  }
}

herr_t collect_name(hid_t, const char* name, const H5A_info_t*, void* names) {
  try {
    static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  } catch (...) {  // nothing may be thrown through C
    return -1;
  }
  return 0;
}

}  // namespace

void File::set_attribute(const std::string& object, const std::string& name, const Attribute& value) {
  const Inside inside;
  state_->require_mode(State::Mode::writing);
  const std::string place = text(state_->name, ": attribute '", name, "' of ", object);
  const Handle opened(checked(H5Oopen(state_->file, object.c_str(), H5P_DEFAULT), place, ": no such object"),
                      H5Oclose);
  std::visit(Writer{opened, place, name}, value);
}

void File::set_attributes(const std::string& object, const Attributes& attributes) {
  for (const auto& [name, value] : attributes) set_attribute(object, name, value);
}

Attributes File::attributes(const std::string& object) const {
  const Inside inside;
  state_->require_mode(State::Mode::reading);
  const Handle opened = open_object(*state_, object);
  std::vector<std::string> names;
  hsize_t next = 0;
  checked(H5Aiterate2(opened, H5_INDEX_NAME, H5_ITER_INC, &next, collect_name, &names), state_->name,
          ": attributes of ", object);
  require_printable(names, text(state_->name, ": attributes of ", object));
  Attributes found;
  for (const std::string& name : names) {
    found.emplace(name, read_attribute(opened, name, state_->file_bytes,
                                       text(state_->name, ": attribute '", name, "' of ", object)));
  }
  return found;
}

}  // namespace trainer::h5
