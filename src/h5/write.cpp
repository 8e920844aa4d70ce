#include <algorithm>
#include <limits>

#include "state.h"
#include "trainer/h5/file.h"

namespace trainer::h5 {

namespace {

Handle group_creation_list() {
  Handle list(checked(H5Pcreate(H5P_GROUP_CREATE), "no group creation list"), H5Pclose);
  checked(H5Pset_obj_track_times(list, false), "group creation list");
  return list;
}

Handle data_creation_list() {
  Handle list(checked(H5Pcreate(H5P_DATASET_CREATE), "no data set creation list"), H5Pclose);
  checked(H5Pset_obj_track_times(list, false), "data set creation list");
  // Every value is written right away.
  checked(H5Pset_fill_time(list, H5D_FILL_TIME_NEVER), "data set creation list");
  return list;
}

void write_data_set(File& file, hid_t id, const std::string& path, std::span<const std::int64_t> shape,
                    std::size_t elements, hid_t stored, hid_t given, const void* values) {
  const std::string place = text(file.name(), ": ", path);
  std::vector<hsize_t> dimensions;
  std::size_t product = 1;
  for (const std::int64_t n : shape) {
    require(n >= 0 &&
                (n == 0 || product <= std::numeric_limits<std::size_t>::max() / static_cast<std::size_t>(n)),
            ErrorKind::internal, place, ": a side of ", n, " elements");
    product *= static_cast<std::size_t>(n);
    dimensions.push_back(static_cast<hsize_t>(n));
  }
  require(product == elements, ErrorKind::internal, place, ": ", elements, " values for a shape of ",
          product);

  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) file.create_group(path.substr(0, slash));
  const Handle space(checked(dimensions.empty() ? H5Screate(H5S_SCALAR)
                                                : H5Screate_simple(static_cast<int>(dimensions.size()),
                                                                   dimensions.data(), nullptr),
                             place, ": cannot be written"),
                     H5Sclose);
  const Handle creation = data_creation_list();
  Handle data(checked(H5Dcreate2(id, path.c_str(), stored, space, H5P_DEFAULT, creation, H5P_DEFAULT), place,
                      ": cannot be written"),
              H5Dclose);
  if (elements > 0)
    checked(H5Dwrite(data, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), place, ": cannot be written");
  checked(data.close(), place, ": cannot be written");
}

}  // namespace

void File::create_group(const std::string& path) {
  const Inside inside;
  state_->require_mode(State::Mode::writing);
  require(!path.empty() && path.front() == '/', ErrorKind::internal, name(), ": '", path,
          "' is not an absolute path");
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string group = path.substr(0, end);
    if (group.size() > 1 &&
        checked(H5Lexists(state_->file, group.c_str(), H5P_DEFAULT), name(), ": ", group) == 0) {
      const Handle creation = group_creation_list();
      Handle made(checked(H5Gcreate2(state_->file, group.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), name(),
                          ": ", group, ": cannot be made"),
                  H5Gclose);
      checked(made.close(), name(), ": ", group, ": cannot be made");
    }
    if (end == std::string::npos) return;
  }
}

void File::write(const std::string& path, std::span<const std::int64_t> shape,
                 std::span<const float> values) {
  const Inside inside;
  state_->require_mode(State::Mode::writing);
  write_data_set(*this, state_->file, path, shape, values.size(), H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                 values.data());
}

void File::write(const std::string& path, std::span<const std::int64_t> shape,
                 std::span<const double> values) {
  const Inside inside;
  state_->require_mode(State::Mode::writing);
  write_data_set(*this, state_->file, path, shape, values.size(), H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                 values.data());
}

void File::write(const std::string& path, std::span<const std::int64_t> shape,
                 std::span<const std::int64_t> values) {
  const Inside inside;
  state_->require_mode(State::Mode::writing);
  write_data_set(*this, state_->file, path, shape, values.size(), H5T_STD_I64LE, H5T_NATIVE_INT64,
                 values.data());
}

}  // namespace trainer::h5
