#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/data/request.h"

namespace trainer::data {

/// How one data set of the inputs lies in the first of the HDF5 files.
struct StoredInputs {
  std::string path;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> chunk;  ///< empty: contiguous
  bool is_compressed = false;
  std::int64_t chunk_bytes = 0;   ///< decompressed
  std::int64_t chunk_rows = 0;    ///< rows that lie together
  std::int64_t chunks_a_row = 1;  ///< that hold one row
};

/// Of all data sets of the inputs; empty where the data is not HDF5. Not collective. Throws as plan_of does.
std::vector<StoredInputs> stored_inputs(const Request& request);

}  // namespace trainer::data
