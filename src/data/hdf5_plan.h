#pragma once

#include <string>
#include <vector>

#include "plan.h"
#include "share_work.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// Whether `path` names an HDF5 or netCDF-4 file: by its name (.h5, .hdf5, .hdf, .he5, .nc, .nc4) or, for a
/// file that can be read, by its signature.
bool is_hdf5(const std::string& path);

/// The plan of HDF5 files, `paths`, in this order as one data set (at least one; `request.data` is what the
/// user called them). **Collective** where `share` is. Throws Error(usage) and Error(data).
Plan hdf5_plan(const std::vector<std::string>& paths, const Request& request, const ShareWork& share);

}  // namespace trainer::data
