#pragma once

#include <vector>

#include "plan.h"
#include "source.h"
#include "trainer/core/tree.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// The plan of the data with its test split: that of --test, or the data's own, or none at all.
/// **Collective**. Throws as whole_plan does.
Plan plan_with_test(const comm::Communicator& world, const Request& request, bool without_test);

/// The runs of rows that a source is gone through in: whole blocks, together about `bytes` in memory, the
/// largest blocks cut; all rows at once where it can be read no other way. `facts` of the source, with
/// blocks.
std::vector<Range> portions_of(const Source& source, const DataFacts& facts, std::int64_t bytes);

}  // namespace trainer::data
