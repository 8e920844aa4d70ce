#pragma once

#include <string>

#include "share_work.h"
#include "trainer/data/request.h"
#include "trainer/h5/table.h"

namespace trainer::data {

/// Values of --inputs and --targets, for the training rows and, when the data has them, for test rows.
struct Hdf5Names {
  std::string inputs;
  std::string targets;  ///< empty: none
  std::string test_inputs;
  std::string test_targets;
};

/// What is taken of files like `path` and `targets_path` (the same when inputs and targets lie together):
/// what the request says, and where it says nothing the usual names: inputs/targets, x/y, X/Y, data/label,
/// features/labels, images/labels, x_train/y_train with x_test/y_test, and all these in groups train and
/// test. **Collective** where `share` is. Throws Error(usage) that lists what the file holds, with a line to
/// try.
Hdf5Names find_hdf5_names(const std::string& path, const std::string& targets_path, const Request& request,
                          bool with_targets, const ShareWork& share);

}  // namespace trainer::data
