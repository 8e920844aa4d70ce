#pragma once

#include "share_work.h"
#include "trainer/comm/communicator.h"

namespace trainer::data {

/// Work shared by the ranks of `world`, which outlives it: each takes a contiguous part of the tasks.
ShareWork share_over(const comm::Communicator& world);
/// Work that this process does alone. Not collective.
ShareWork share_alone();

}  // namespace trainer::data
