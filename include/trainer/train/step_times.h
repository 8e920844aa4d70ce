#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "trainer/comm/communicator.h"
#include "trainer/train/configuration.h"
#include "trainer/train/prepare.h"

namespace trainer::train {

/// What some steps took, the same on every rank.
struct StepTimes {
  std::int64_t batch = 0, shards = 0, steps = 0;
  /// Seconds of a step: means over steps and ranks. The last four add up to the first.
  double seconds = 0, compute = 0, wait = 0, communicate = 0, read = 0;
  double bytes = 0;     ///< that a rank sends in a step, gradients and parameters: mean over the ranks
  std::string weights;  ///< digest of the parameters behind the last step
};

/// Collective over `group`. Trains from the start: `warm_up` steps that do not count, then `steps` that are
/// timed, all on whole batches (the smaller one at the end of an epoch is left out), without an evaluation.
/// Rows as in run_trial(). Throws comm::AgreedError on all ranks of the group.
StepTimes time_steps(const comm::Communicator& group, std::shared_ptr<const PreparedData> data,
                     const Configuration& configuration, int threads, std::int64_t warm_up,
                     std::int64_t steps);

}  // namespace trainer::train
