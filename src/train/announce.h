#pragma once

// What is said about a run at its start. Private to this room.

#include <string>

#include "records.h"
#include "snapshot.h"
#include "trainer/comm/communicator.h"
#include "trainer/train/run.h"

namespace trainer::train {

/// Collective. RUN/environment.txt: hosts, processors, versions, job.
void write_environment(const comm::Communicator& world, const RunRequest& request, const RunFacts& facts,
                       Records& records);

/// Collective. The first lines of a run in `folder`: data, model, training, job, and what is not as it should
/// be.
void describe_run(const comm::Communicator& world, const Prepared& prepared, const Step& step,
                  const RunRequest& request, const std::string& folder, Records& records);

}  // namespace trainer::train
