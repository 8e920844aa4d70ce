#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/train/configuration.h"
#include "trainer/train/prepare.h"
#include "trainer/train/step.h"

namespace trainer::train {

/// Training without a folder: nothing of it is kept but these figures.
struct TrialResult {
  /// goal: it was reached; budget: all steps (or the time) were used; early_stopping; diverged: a loss,
  /// gradient or parameter was not finite; abandoned: it was asked to end.
  enum class Outcome { goal, budget, early_stopping, diverged, abandoned };
  Outcome outcome = Outcome::budget;
  std::string message;                    ///< of the divergence
  std::vector<std::string> columns;       ///< of metrics.csv
  std::vector<std::vector<double>> rows;  ///< one an evaluation
  std::vector<double> row_seconds;        ///< of training steps, up to each evaluation
  std::int64_t steps = 0, samples = 0;    ///< done
  std::int64_t goal_step = -1, goal_samples = -1;
  std::int64_t goal_resolution = -1;  ///< steps from the evaluation before to the one that met the goal
  double goal_seconds = -1;           ///< of training steps
  std::string best_metric;            ///< what "best" means: its name in `columns`
  double best = 0;                    ///< nan: nothing was evaluated
  std::int64_t best_step = -1;
  double noise_scale = 0;  ///< at the end; nan: unknown
  StepSeconds seconds;     ///< of this rank
};

/// How far a trial goes.
struct TrialLimits {
  std::int64_t steps = 0;   ///< at most so many, with the schedule of all; 0: all
  double seconds = 0;       ///< of training steps, by the clock of the group's first rank; 0: no limit
  std::string best_metric;  ///< what "best" means; empty: what --early-stopping looks at
};

/// Collective over `group`. Trains from the start on `data`, which other groups may use at the same time if
/// it has_all_rows(). `gives_up` is asked on every rank after each step: when any says so, the trial ends.
/// The figures do not depend on the number of ranks or threads, except for times. Throws comm::AgreedError,
/// such as Error(usage) for options that do not fit the data; a divergence is a result.
TrialResult run_trial(const comm::Communicator& group, std::shared_ptr<const PreparedData> data,
                      const Configuration& configuration, int threads, const TrialLimits& limits,
                      const std::function<bool()>& gives_up);

}  // namespace trainer::train
