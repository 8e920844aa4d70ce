#include "trainer/train/trial.h"

#include <cmath>

#include "trainer/comm/agreement.h"
#include "trainer/train/noise_scale.h"
#include "training.h"

namespace trainer::train {
namespace {

void take_in(const Evaluation& evaluation, const Training& training, double seconds, TrialResult& result) {
  constexpr std::size_t kStepColumn = 1;
  const auto before = result.rows.empty() ? 0 : static_cast<std::int64_t>(result.rows.back()[kStepColumn]);
  result.rows.push_back(evaluation.row);
  result.row_seconds.push_back(seconds);
  const Progress& progress = training.progress();
  const double metric = evaluation.metrics.at(result.best_metric);
  const bool larger = larger_is_better(result.best_metric);
  if (!std::isnan(metric) &&
      (std::isnan(result.best) || (larger ? metric > result.best : metric < result.best))) {
    result.best = metric;
    result.best_step = progress.step;
  }
  if (evaluation.must_stop && progress.ended == Progress::kGoal) {
    result.outcome = TrialResult::Outcome::goal;
    result.goal_step = progress.goal_step;
    result.goal_samples = progress.goal_samples;
    result.goal_resolution = progress.goal_step - before;
    result.goal_seconds = seconds;
  } else if (evaluation.must_stop) {
    result.outcome = TrialResult::Outcome::early_stopping;
  }
}

void train(Training& training, const TrialLimits& limits, bool keeps_time,
           const std::function<bool()>& gives_up, TrialResult& result) {
  const Plan& plan = training.prepared().plan;
  const std::int64_t last = limits.steps > 0 ? std::min(limits.steps, plan.total_steps) : plan.total_steps;
  training.initialise();
  take_in(training.evaluate(), training, 0, result);
  if (result.outcome == TrialResult::Outcome::goal) return;
  training.progress().ended = Progress::kNot;
  result.outcome = TrialResult::Outcome::budget;
  bool give_up = false;
  while (training.progress().step < last) {
    const double seconds = training.step().seconds().total;
    const bool time_is_up = keeps_time && limits.seconds > 0 && seconds >= limits.seconds;
    // The two requests of a step: here one gives up, the other ends at the next evaluation.
    const Training::Taken taken =
        training.take_step({.stop = give_up, .checkpoint = time_is_up, .observe = false});
    const bool ends = taken.result.checkpoint_requested || training.progress().step == last;
    if (taken.result.stop_requested) {
      result.outcome = TrialResult::Outcome::abandoned;
      return;
    }
    if (taken.evaluation_due || ends) {
      const Evaluation evaluation = training.evaluate();
      take_in(evaluation, training, training.step().seconds().total, result);
      if (evaluation.must_stop) return;
    }
    if (ends) return;
    give_up = gives_up && gives_up();
  }
}

}  // namespace

TrialResult run_trial(const comm::Communicator& group, std::shared_ptr<const PreparedData> data,
                      const Configuration& configuration, int threads, const TrialLimits& limits,
                      const std::function<bool()>& gives_up) {
  const Prepared prepared = prepare(group, std::move(data), configuration, threads);
  Team team(threads);
  Training training(group, team, prepared, configuration);
  TrialResult result;
  result.columns = training.columns();
  result.best_metric = limits.best_metric.empty() ? prepared.stopping->metric() : limits.best_metric;
  result.best = std::nan("");
  try {
    train(training, limits, group.rank() == 0, gives_up, result);
  } catch (const comm::AgreedError& error) {
    if (error.kind() != ErrorKind::numeric) throw;
    result.outcome = TrialResult::Outcome::diverged;
    result.message = error.what();
  }
  result.steps = training.progress().step;
  result.samples = training.samples_done();
  result.noise_scale = NoiseScale::value(training.progress().noise);
  result.seconds = training.step().seconds();
  return result;
}

}  // namespace trainer::train
