#pragma once

#include <span>

#include "trainer/core/grammar.h"
#include "trainer/optim/schedule.h"

namespace trainer::optim {

/// The length that `terms` (not empty, part of `source`) spell, as by Length::parse.
Length read_length(const ParsedText& source, std::span<const Term> terms);

}  // namespace trainer::optim
