#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trainer::data {

/// What the columns of the targets are called, as far as `encoding` (DataFacts::encoding) tells: by the
/// header of a table, or by data sets of HDF5 that were named and are a column each. One for each of
/// `targets` columns, or none.
std::vector<std::string> target_names(const std::string& encoding, std::int64_t targets);

/// The same of the inputs: columns of a table by its header, a category as "color = red". One for each of
/// `features` columns, or none.
std::vector<std::string> input_names(const std::string& encoding, std::int64_t features);

}  // namespace trainer::data
