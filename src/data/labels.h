#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "plan.h"

namespace trainer::data {

/// All labels of each split.
using Labels = std::vector<std::span<const std::int32_t>>;

/// How many classes there are: as many as the source says, else one more than the greatest label of any
/// split. Throws Error(data) for labels below 0, for more than 1,000 classes unless the task was said, and
/// for more than a million.
std::int64_t count_classes(const Plan& plan, const Labels& labels);

/// The first ten of the `classes` that no label names: "3, 7"; empty when there are none.
std::string absent_classes(std::span<const std::int32_t> labels, std::int64_t classes);

}  // namespace trainer::data
