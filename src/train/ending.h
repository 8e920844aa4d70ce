#pragma once

// How a run ends, for people and scripts. Private to this room.

#include <cstdint>
#include <cstdio>
#include <string>

#include "records.h"
#include "snapshot.h"
#include "trainer/nn/loss.h"
#include "trainer/train/metrics.h"
#include "trainer/train/step.h"

namespace trainer::train {

inline constexpr const char* kAllStepsDone = "all steps done";

/// What is known of the run when it ends.
struct Ending {
  int exit_code = 0;
  std::string reason;
  bool before = false;  ///< the run had ended before this process began: its records stay as they are
};

/// The figures that result.json and the last line speak of.
struct EndingFacts {
  Ending ending;
  Progress progress;
  const History* history = nullptr;
  std::string best_metric, goal;
  double goal_seconds = 0;
  StepSeconds seconds;            ///< of rank 0 in steps
  double checkpoint_seconds = 0;  ///< that training stood still for checkpoints
  std::int64_t checkpoints = 0;   ///< that were saved
  std::int64_t ranks = 1, threads = 1;
  std::string tuning;
  std::int64_t bytes = 0, bytes_last_step = 0;  ///< sent by the busiest rank; by rank 0 in the last step
  /// The best model on the test set or, where there is none, on the validation rows.
  std::optional<Measured> test, validation;
  std::string weights;            ///< digest
  std::string newest_checkpoint;  ///< relative to the run folder
};

/// A figure for people: four decimals, or as a power of ten when it is small.
std::string four_digits(double value);

/// "train_loss", "train_accuracy" and the like of sums over rows.
void put_metrics(Metrics& metrics, const std::string& prefix, const nn::LossSums& sums, std::int64_t rows);
/// The same of an evaluation, with the metrics of the list.
void put_metrics(Metrics& metrics, const std::string& prefix, const Measured& measured,
                 const MetricList& list);

/// Rank 0. Writes result.json, confusion.csv, RUN/status and the last lines. Throws Error(data).
void write_ending(const Prepared& prepared, const EndingFacts& facts, Records& records, std::FILE* out);

}  // namespace trainer::train
