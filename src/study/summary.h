#pragma once

// What the trials of a study say together. Private to this room.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ledger.h"
#include "trainer/study/fit.h"
#include "trainer/study/trials.h"

namespace trainer::study {

/// What is the same for all trials of a study of batch sizes or settings.
struct Question {
  Space space;
  SearchRules rules;
  Aim aim;
  std::string metric;                 ///< of the best
  std::string goal;                   ///< as written
  std::vector<std::int64_t> batches;  ///< of study batch; {0}: a search
};

/// The result at one batch size.
struct BatchResult {
  std::int64_t batch = 0;
  bool complete = false;
  std::int64_t trials = 0, diverged = 0, widened = 0;
  std::vector<std::string> on_edge;
  Settings best;                      ///< when complete, as all below
  std::vector<std::string> measured;  ///< ids of the trials
  std::int64_t seeds = 0, reached = 0;
  bool at_once = false;   ///< the untrained model meets the goal
  bool at_first = false;  ///< a seed meets it at the first evaluation of all: steps are no figure
  double resolution = 0;  ///< between evaluations at the goal, as a share of the steps to it; the worst
  bool failed = false;    ///< none of the measurements came to an end that counts
  Interval steps, samples, seconds;   ///< to the goal: geometric means over the seeds that reached it
  Interval metric;                    ///< the best at the budget
  Interval noise_scale;               ///< geometric mean over the seeds that know it; nan: none
  std::vector<double> steps_by_seed;  ///< at the evaluation that met the goal
  std::vector<double>
      middle_by_seed;  ///< in the middle of the steps since the evaluation before: for the fit
};

struct Summary {
  std::vector<BatchResult> batches;
  std::optional<CriticalBatch> critical;  ///< of study batch with a goal
  std::optional<RateRule> rate;           ///< where lr is searched
  std::vector<std::string> advice;        ///< sentences
  std::vector<Trial> trials;              ///< all that are needed, in order
  std::int64_t done = 0;
  bool complete() const { return done == static_cast<std::int64_t>(trials.size()); }
};

/// Below so many batches of B_crit steps fall as batches grow: at most a quarter more samples than the least;
/// above as many, more rows save at most a fifth of the steps.
inline constexpr double kRegimeFactor = 4;

Summary summarise(const Question& question, const Records& records);
/// "perfect scaling", "diminishing returns" or "maximal parallelism"; empty when nothing was fitted.
std::string regime_of(const Summary& summary, std::int64_t batch);
/// summary.json.
std::string json_of(const Question& question, const Summary& summary);
/// A line for each batch size, with a heading; then the advice: for a terminal.
std::string table_of(const Question& question, const Summary& summary);

}  // namespace trainer::study
