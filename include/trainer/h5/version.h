#pragma once

#include <string>

namespace trainer::h5 {

/// The HDF5 library that runs: "1.10.8".
std::string hdf5_version();

}  // namespace trainer::h5
