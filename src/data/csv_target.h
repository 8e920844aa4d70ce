#pragma once

#include "csv_scan.h"
#include "csv_source.h"
#include "plan.h"

namespace trainer::data {

/// --task; without it, what the data was that the model knows. Throws Error(usage) and Error(data).
Task csv_task(const Request& request);

/// kind, targets (0 for classes to be counted) and class names of `data`, of which columns, categories and
/// rows are known. Throws Error(usage) where only --task can tell, and Error(data).
void put_target_facts(const CsvData& data, const CsvFindings& findings, Task task, DataFacts& facts);

}  // namespace trainer::data
