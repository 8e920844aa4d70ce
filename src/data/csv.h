#pragma once

#include <string>
#include <vector>

#include "plan.h"
#include "share_work.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// Whether `path` is called like a table of text: .csv, .tsv, .txt, .dat, each also with .gz.
bool is_csv(const std::string& path);

/// The plan of CSV files, `paths`, in this order as one data set (at least one; `request.data` is what the
/// user called them). **Collective** where `share` is. Throws Error(usage) and Error(data).
Plan csv_plan(const std::vector<std::string>& paths, const Request& request, const ShareWork& share);

}  // namespace trainer::data
