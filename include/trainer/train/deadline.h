#pragma once

// When a run must stop by the clock.

#include <optional>
#include <string>

#include "trainer/core/clock.h"
#include "trainer/train/configuration.h"

namespace trainer::train {

/// Seconds until a batch system ends this job: from SLURM_JOB_END_TIME, else asked of `squeue` (once; it may
/// take seconds). Nothing outside of Slurm or without an answer.
std::optional<double> seconds_until_slurm_ends();

/// Seconds from `now_text` to `end_text`, both local times such as 2026-03-01T12:00:00; nothing when one is
/// none ("NONE", "Unknown").
std::optional<double> seconds_between(const std::string& now_text, const std::string& end_text);

/// The moment at which a run stops: --time-limit, else the end of the Slurm job, --time-margin earlier. To be
/// asked on rank 0 alone, which decides for all.
class Deadline {
 public:
  /// The limit counts from here. Throws Error(usage) for a text that is no duration.
  explicit Deadline(const Configuration& configuration);
  /// Whether to stop now: the deadline, or no time left before it for as long as the longest stretch between
  /// two calls so far.
  bool is_reached();
  /// "2:00:00, as --time-limit says"; empty without a limit.
  const std::string& description() const { return description_; }

 private:
  Stopwatch watch_;
  std::optional<double> limit_;
  std::string description_;
  double last_ = 0, longest_ = 0;
  bool called_ = false;
};

}  // namespace trainer::train
