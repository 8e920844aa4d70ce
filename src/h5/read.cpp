#include <algorithm>
#include <limits>
#include <set>
#include <string_view>

#include "state.h"
#include "trainer/h5/file.h"

namespace trainer::h5 {

namespace {

constexpr std::size_t kMostChildren = 1'000'000;
constexpr std::ptrdiff_t kDeepest = 64;

enum class Child { none, plain };

// What `name` in `group` is; a link that leads elsewhere is refused.
Child find_child(hid_t group, const std::string& name, const std::string& place) {
  require(!name.empty() && name != ".", ErrorKind::data, place, ": not a path within an HDF5 file");
  if (checked(H5Lexists(group, name.c_str(), H5P_DEFAULT), place, ": cannot be read") == 0)
    return Child::none;
  H5L_info_t link;
  checked(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT), place, ": cannot be read");
  require(link.type == H5L_TYPE_HARD, ErrorKind::data, place,
          ": is a soft or external link, which is not followed; copy what it points to into the file");
  return Child::plain;
}

bool is_group(hid_t object) { return H5Iget_type(object) == H5I_GROUP; }

Handle open_root(const File::State& state) {
  return {checked(H5Gopen2(state.file, "/", H5P_DEFAULT), state.name, ": has no readable root group"),
          H5Oclose};
}

// Opens what `path` names; an identifier of -1 when there is no such thing.
Handle find_object(const File::State& state, const std::string& path) {
  require(!path.empty() && path.front() == '/', ErrorKind::internal, state.name, ": '", path,
          "' is not an absolute path");
  Handle object = open_root(state);
  for (std::size_t begin = 1; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    const std::string place = text(state.name, ": ", path.substr(0, end));
    if (!is_group(object) || find_child(object, name, place) == Child::none) return {-1, H5Oclose};
    object = Handle(checked(H5Oopen(object, name.c_str(), H5P_DEFAULT), place, ": cannot be read"), H5Oclose);
    begin = end + 1;
  }
  return object;
}

herr_t collect_name(hid_t, const char* name, const H5L_info_t*, void* names) {
  auto& list = *static_cast<std::vector<std::string>*>(names);
  if (list.size() == kMostChildren) return -1;
  try {
    list.emplace_back(name);
  } catch (...) {  // nothing may be thrown through C
    return -1;
  }
  return 0;
}

std::vector<std::string> child_names(hid_t group, const std::string& place) {
  std::vector<std::string> names;
  hsize_t next = 0;
  checked(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &next, collect_name, &names), place,
          ": cannot be listed");
  require_printable(names, place);
  return names;
}

ElementType element_type(hid_t data, const std::string& place) {
  const Handle type(checked(H5Dget_type(data), place, ": cannot be read"), H5Tclose);
  const auto is = [&](hid_t known) { return H5Tequal(type, known) > 0; };
  if (is(H5T_IEEE_F32LE) || is(H5T_IEEE_F32BE)) return ElementType::f32;
  if (is(H5T_IEEE_F64LE) || is(H5T_IEEE_F64BE)) return ElementType::f64;
  if (H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) <= 8) return ElementType::integer;
  return ElementType::other;
}

// Only values that lie in the file as they are.
void require_plain_storage(hid_t data, const std::string& place) {
  const Handle creation(checked(H5Dget_create_plist(data), place, ": cannot be read"), H5Pclose);
  require(checked(H5Pget_layout(creation), place, ": cannot be read") != H5D_VIRTUAL, ErrorKind::data, place,
          ": is a virtual data set, which is not followed; write its values into the file");
  require(checked(H5Pget_external_count(creation), place, ": cannot be read") == 0, ErrorKind::data, place,
          ": its values lie in another file, which is not followed; write them into this file");
  require(checked(H5Pget_nfilters(creation), place, ": cannot be read") == 0, ErrorKind::data, place,
          ": is compressed or filtered, which is not read here; rewrite the file with `h5repack -f NONE`");
}

DataSet describe_data(hid_t data, const std::string& path, const File::State& state) {
  const std::string place = text(state.name, ": ", path);
  require_plain_storage(data, place);
  DataSet found;
  found.path = path;
  found.type = element_type(data, place);

  const Handle space(checked(H5Dget_space(data), place, ": cannot be read"), H5Sclose);
  require(H5Sget_simple_extent_type(space) != H5S_NULL, ErrorKind::data, place, ": holds no values");
  std::vector<hsize_t> dimensions(
      static_cast<std::size_t>(checked(H5Sget_simple_extent_ndims(space), place, ": cannot be read")));
  checked(H5Sget_simple_extent_dims(space, dimensions.data(), nullptr), place, ": cannot be read");

  const Handle type(checked(H5Dget_type(data), place, ": cannot be read"), H5Tclose);
  const std::size_t size = H5Tget_size(type);
  require(size > 0, ErrorKind::data, place, ": cannot be read");
  // Bounded by what the file can hold, an overflow is impossible before the bound is passed.
  const std::uint64_t most = static_cast<std::uint64_t>(state.file_bytes) / size;
  std::uint64_t elements = 1;
  for (const hsize_t n : dimensions) {
    require(n <= most && (n == 0 || elements <= most / n), ErrorKind::data, place,
            ": claims more values than the file's ", state.file_bytes, " bytes can hold");
    elements *= n;
    found.shape.push_back(static_cast<std::int64_t>(n));
  }
  require(H5Dget_storage_size(data) >= elements * size, ErrorKind::data, place,
          ": its values were not all written to the file");
  found.elements = static_cast<std::int64_t>(elements);
  return found;
}

Handle open_data(const File::State& state, const std::string& path) {
  Handle data = open_object(state, path);
  require(H5Iget_type(data) == H5I_DATASET, ErrorKind::data, state.name, ": ", path, ": is not a data set");
  return data;
}

template <class Value>
std::vector<Value> read_values(hid_t data, hid_t type, const DataSet& description, const std::string& place) {
  std::vector<Value> values(static_cast<std::size_t>(description.elements));
  if (!values.empty())
    checked(H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), place, ": cannot be read");
  return values;
}

template <class Value>
std::vector<Value> read_as(const File::State& state, const std::string& path, hid_t type,
                           std::initializer_list<ElementType> accepted, std::string_view wanted) {
  state.require_mode(File::State::Mode::reading);
  const Handle data = open_data(state, path);
  const DataSet description = describe_data(data, path, state);
  const std::string place = text(state.name, ": ", path);
  require(std::find(accepted.begin(), accepted.end(), description.type) != accepted.end(), ErrorKind::data,
          place, ": its values are not ", wanted);
  return read_values<Value>(data, type, description, place);
}

// The walk of data_sets(): an object that is met twice would be read twice, or for ever.
class Walk {
 public:
  Walk(const File::State& state, std::vector<DataSet>& found) : state_(state), found_(found) {}

  void visit(hid_t object, const std::string& path) {
    const std::string place = text(state_.name, ": ", path);
    require(std::count(path.begin(), path.end(), '/') <= kDeepest, ErrorKind::data, place,
            ": is nested deeper than ", kDeepest, " groups");
    H5O_info_t info;
    checked(H5Oget_info2(object, &info, H5O_INFO_BASIC), place, ": cannot be read");
    require(met_.insert(info.addr).second, ErrorKind::data, place,
            ": is reached by more than one link; copy it instead");
    if (H5Iget_type(object) == H5I_DATASET) {
      found_.push_back(describe_data(object, path, state_));
      // Data sets that share their bytes would fill the memory when they are all read.
      const hsize_t bytes = H5Dget_storage_size(object);
      require(bytes <= bytes_left_, ErrorKind::data, place,
              ": with those before it claims more than the file's ", state_.file_bytes, " bytes");
      bytes_left_ -= bytes;
    } else if (is_group(object)) {
      visit_children(object, path, place);
    }
  }

 private:
  void visit_children(hid_t group, const std::string& path, const std::string& place) {
    for (const std::string& name : child_names(group, place)) {
      const std::string child_path = path == "/" ? path + name : path + '/' + name;
      find_child(group, name, text(state_.name, ": ", child_path));
      const Handle child(checked(H5Oopen(group, name.c_str(), H5P_DEFAULT), state_.name, ": ", child_path,
                                 ": cannot be read"),
                         H5Oclose);
      visit(child, child_path);
    }
  }

  const File::State& state_;
  std::vector<DataSet>& found_;
  std::set<haddr_t> met_;
  hsize_t bytes_left_ = static_cast<hsize_t>(state_.file_bytes);
};

}  // namespace

Handle open_object(const File::State& state, const std::string& path) {
  Handle object = find_object(state, path);
  require(object >= 0, ErrorKind::data, state.name, ": has no ", path);
  return object;
}

Handle open_group(const File::State& state, const std::string& path) {
  Handle group = open_object(state, path);
  require(is_group(group), ErrorKind::data, state.name, ": ", path, ": is not a group");
  return group;
}

bool File::has(const std::string& path) const {
  const Inside inside;
  state_->require_mode(State::Mode::reading);
  return find_object(*state_, path) >= 0;
}

std::vector<DataSet> File::data_sets(const std::string& group) const {
  const Inside inside;
  state_->require_mode(State::Mode::reading);
  std::vector<DataSet> found;
  Walk(*state_, found).visit(open_group(*state_, group), group);
  std::sort(found.begin(), found.end(), [](const DataSet& a, const DataSet& b) { return a.path < b.path; });
  return found;
}

std::vector<std::string> File::groups(const std::string& group) const {
  const Inside inside;
  state_->require_mode(State::Mode::reading);
  const Handle opened = open_group(*state_, group);
  std::vector<std::string> found;
  for (const std::string& name : child_names(opened, text(state_->name, ": ", group))) {
    const std::string path = group == "/" ? group + name : group + '/' + name;
    if (is_group(open_object(*state_, path))) found.push_back(path);
  }
  return found;
}

DataSet File::describe(const std::string& path) const {
  const Inside inside;
  state_->require_mode(State::Mode::reading);
  return describe_data(open_data(*state_, path), path, *state_);
}

std::vector<float> File::read_f32(const std::string& path) const {
  const Inside inside;
  return read_as<float>(*state_, path, H5T_NATIVE_FLOAT, {ElementType::f32}, "32-bit floats");
}

std::vector<double> File::read_f64(const std::string& path) const {
  const Inside inside;
  return read_as<double>(*state_, path, H5T_NATIVE_DOUBLE, {ElementType::f64}, "64-bit floats");
}

std::vector<float> File::read_floats(const std::string& path) const {
  const Inside inside;
  return read_as<float>(*state_, path, H5T_NATIVE_FLOAT, {ElementType::f32, ElementType::f64},
                        "32-bit or 64-bit floats");
}

std::vector<std::int64_t> File::read_i64(const std::string& path) const {
  const Inside inside;
  const std::string place = text(state_->name, ": ", path);
  state_->require_mode(State::Mode::reading);
  const Handle data = open_data(*state_, path);
  const Handle type(checked(H5Dget_type(data), place, ": cannot be read"), H5Tclose);
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_sign(type) == H5T_SGN_2) {
    return read_as<std::int64_t>(*state_, path, H5T_NATIVE_INT64, {ElementType::integer},
                                 "whole numbers of at most 64 bits");
  }
  const auto raw = read_as<std::uint64_t>(*state_, path, H5T_NATIVE_UINT64, {ElementType::integer},
                                          "whole numbers of at most 64 bits");
  // HDF5 would clip what does not fit in silence.
  for (const std::uint64_t value : raw) {
    require(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()), ErrorKind::data,
            place, ": ", value, " does not fit a signed 64-bit number");
  }
  return {raw.begin(), raw.end()};
}

}  // namespace trainer::h5
