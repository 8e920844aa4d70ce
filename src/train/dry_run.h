#pragma once

// Private to this room.

#include "trainer/comm/communicator.h"
#include "trainer/train/run.h"

namespace trainer::train {

/// --dry-run: checks everything and prints what would be run, without a step. Works without MPI
/// (Communicator::alone()).
int describe_dry_run(const comm::Communicator& world, const RunRequest& request);

}  // namespace trainer::train
