#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan.h"
#include "share_work.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// csv_plan() with pieces of `piece_bytes`, the unit of work of its first look at the rows.
Plan csv_plan_in_pieces(const std::vector<std::string>& paths, const Request& request, const ShareWork& share,
                        std::int64_t piece_bytes);

}  // namespace trainer::data
