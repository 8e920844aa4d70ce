#pragma once

#include <string>

#include "share_work.h"
#include "source.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// The rows of `source`, which gives NaN for missing inputs and values, that have all of them (--missing
/// drop). **Collective** where `share` is: all rows are read once, shared by the ranks. Adds to `origin` how
/// many were left out. Throws Error(data) when no row is left.
Source without_missing(Source source, const ShareWork& share, std::string& origin);

/// What to do about an input, or a target, without a value, for messages: what works for this request.
std::string missing_remedy(const Request& request, bool target);

}  // namespace trainer::data
