#include "hdf5.h"

#include "trainer/core/error.h"

namespace trainer::data {
bool is_hdf5(const std::string& path) { return path.ends_with(".h5"); }
Plan hdf5_plan(const std::vector<std::string>& paths, const Request&, const ShareWork&) {
  fail(ErrorKind::usage, "--data ", paths.front(), ": HDF5 files cannot be read yet");
}
}  // namespace trainer::data
