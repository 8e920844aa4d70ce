#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/data/data_set.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// What is to be written where.
struct ConvertRequest {
  Request data;
  bool without_test = false;  ///< --test none: the test split is left out
  std::string memory_limit = "60 %";
  std::string out;  ///< ends in .h5 or .hdf5; what is there is replaced
  /// Called on rank 0 now and then: rows that are written, of how many.
  std::function<void(std::int64_t done, std::int64_t rows)> progress = {};
};

/// What was written.
struct Converted {
  DataFacts train;  ///< classes are counted; without blocks and fingerprint
  std::optional<DataFacts> test;
  std::string task;  ///< that --task must say to take the file; empty: it is plain from the file
  std::vector<std::string> notes;  ///< what is worth knowing
};

/// Writes the rows of any data, in their order, as an HDF5 file that `--data` takes without further options:
/// /inputs and /targets, with a test split /x_train, /y_train, /x_test and /y_test. Rows keep their shape;
/// bytes stay bytes, other inputs and values are f32; classes are i32, or texts where names are known and
/// their sorted order is that of the classes. Data sets are contiguous; the bytes of the file depend on the
/// data alone. Training on it is training on the original, the same bits, as long as the order of the rows is
/// the same: `chunks` follows the pieces that files store together, of which this one has none.
/// **Collective** over `world`: every rank writes a part of the rows, in bounded memory; what cannot be read
/// in parts is read whole by rank 0. The file is there whole or not at all. Throws, on all ranks alike, what
/// open_data throws, and Error(data) for a file that cannot be written.
Converted convert_data(const comm::Communicator& world, const ConvertRequest& request);

}  // namespace trainer::data
