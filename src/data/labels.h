#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "plan.h"

namespace trainer::data {

/// How many rows each class has, up to the greatest label; `name`: of the data, for messages. Throws
/// Error(data) for labels below 0 and from a million on.
std::vector<std::int64_t> count_labels(std::span<const std::int32_t> labels, const std::string& name);

/// How many classes there are: as many as the source says, else one more than the greatest label of any
/// split; `counts`: of each split. Throws Error(data) for more than 1,000 classes unless the task was said.
std::int64_t count_classes(const Plan& plan, std::span<const std::vector<std::int64_t>> counts);

/// The first ten of the `classes` that no row has: "3, 7"; empty when there are none.
std::string absent_classes(const std::vector<std::int64_t>& counts, std::int64_t classes);

}  // namespace trainer::data
