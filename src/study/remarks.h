#pragma once

// What the user should know before the first trial. Private to this room.

#include <set>
#include <string>
#include <vector>

#include "summary.h"
#include "trainer/study/study.h"

namespace trainer::study {

/// Lines on options that count for nothing beside others, and on trials that cannot well be compared.
/// `losses`: the --loss of the trials. Throws Error(usage) as require_names().
std::vector<std::string> remarks_on(const Request& request, const Question& question,
                                    const std::set<std::string>& losses);

}  // namespace trainer::study
