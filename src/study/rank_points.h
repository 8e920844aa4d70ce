#pragma once

// The rows of trials.csv of a study of ranks. Private to this room.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/report/csv.h"
#include "trainer/study/scaling_model.h"

namespace trainer::study {

/// So many ranks at one batch size. Strong: the batch is the same for all; weak: each rank has as many rows;
/// batch: the smallest and the largest batch of a batch study, so that the model holds for them; goal: the
/// batch size that reaches the goal of the batch study soonest.
struct RankPoint {
  std::string kind;  ///< strong, weak, batch, goal
  std::int64_t ranks = 1, batch = 0, shards = 1;
  std::int64_t steps = 0;         ///< that were timed; of goal: to the goal
  double seconds = 0;             ///< of a step
  double samples_per_second = 0;  ///< over all ranks
  double efficiency = 0;          ///< of samples_per_second; of goal: of the time to it
  double compute = 0;             ///< seconds of a step, mean over the ranks; predicted: with wait and read
  double communicate = 0, wait = 0, read = 0;  ///< the last two: nan where predicted
  double bytes = 0, messages = 0;              ///< that a rank sends in a step, mean over the ranks
  double spread = 0;  ///< greatest less least of the rounds, over the median; nan: predicted
  bool predicted = false;
  std::int64_t hosts = 1;    ///< of the ranks; predicted: 0
  std::int64_t threads = 1;  ///< of a rank
  bool crowded = false;      ///< more ranks x threads on a host than processors
  std::string weights;  ///< digest at the end of a round; empty: predicted, or not the same in all rounds

  bool measured() const { return !predicted; }
  double seconds_to_goal() const { return static_cast<double>(steps) * seconds; }
  /// For the fit.
  StepCost cost() const;
};

/// Replaces `path` (trials.csv), in one go.
void write_points(const std::string& path, std::span<const RankPoint> points);
/// Throws Error(data) for a file that write_points() did not write; whole rows are taken of one cut short.
std::vector<RankPoint> read_points(const std::string& path);
/// The columns that are numbers, by name: for study.h5. Kinds are 0 strong, 1 weak, 2 batch, 3 goal.
std::vector<std::pair<std::string, std::vector<double>>> number_columns(std::span<const RankPoint> points);

}  // namespace trainer::study
