#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hdf5_files.h"
#include "hdf5_look.h"
#include "plan.h"
#include "share_work.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// How targets are read: as indices from integers or from floats that are whole, by name, or as numbers.
enum class Hdf5Form { none, integers, whole_floats, texts, values };

struct Hdf5Targets {
  Hdf5Form form = Hdf5Form::none;
  std::int64_t count = 0;          ///< classes, 0 when not known yet, or columns of values
  std::vector<std::string> names;  ///< of classes, with Hdf5Form::texts
};

/// What the targets are, by `task` and, where that says nothing, by their types and values. `splits`: the
/// rows whose targets count, all with targets of `parts`. **Collective** where `share` is. Throws
/// Error(usage) that names --task when it is not plain.
Hdf5Targets decide_targets(const std::vector<Hdf5Rows>& splits, const std::vector<Hdf5Part>& parts, Task task,
                           const Request& request, const ShareWork& share);

}  // namespace trainer::data
