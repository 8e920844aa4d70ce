#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trainer::comm {

/// The ranks whose flag is not 0, by name: "rank 3 on node7, rank 5 on node8"; of many the first few.
std::string list_ranks(const std::vector<std::int64_t>& flags, const std::vector<std::string>& hosts);

}  // namespace trainer::comm
