#pragma once

#include <string>

#include "trainer/report/figure.h"

namespace trainer::report {

/// The numbers behind a figure as a CSV file: a row for each point, cell of the grid or pixel. Private to
/// this room.
void write_numbers(const Figure& figure, const std::string& path);

}  // namespace trainer::report
