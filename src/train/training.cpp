#include "training.h"

#include <algorithm>

#include "ending.h"
#include "gradient_log.h"
#include "trainer/core/grammar.h"
#include "trainer/train/noise_scale.h"
#include "trainer/train/replicas.h"

namespace trainer::train {

Training::Training(const comm::Communicator& world, Team& team, const Prepared& prepared,
                   const Configuration& configuration)
    : world_(world), team_(team), prepared_(prepared), configuration_(configuration) {
  make_step();
  make_evaluators();
  progress_.horizon = prepared_.plan.total_steps;
  history_.columns = metrics_columns();
  history_.values.resize(history_.columns.size());
}

void Training::make_step() {
  const Plan& plan = prepared_.plan;
  const PreparedData& data = *prepared_.data;
  const auto rows = data.split.training.size();
  Step::Settings settings;
  settings.shards = plan.shards;
  settings.batches = {plan.batch};
  if (rows % plan.batch != 0) settings.batches.push_back(rows % plan.batch);
  const EvaluatedModel::Settings evaluation{
      prepared_.averages, configuration_.population_statistics == "exact", plan.batch, rows};
  if (evaluation.exact) settings.measured = EvaluatedModel::sizes(evaluation);
  settings.penalty = {configuration_.l1, configuration_.l2, configuration_.penalty_scope == "all"};
  settings.clip_norm = configuration_.clip_norm;
  settings.max_norm = configuration_.max_norm;
  settings.average = configuration_.average;
  settings.tensor_norms = prepared_.tensor_norms;
  settings.report_gradient_norm = configuration_.log_steps;
  settings.seed = configuration_.seed;
  settings.overlap = prepared_.tuning.overlap;
  settings.shared_gradients = prepared_.tuning.shared_gradients;
  step_ = std::make_unique<Step>(world_, team_, *prepared_.network, prepared_.loss, prepared_.training_form(),
                                 *prepared_.optimizer, settings);
  const RowUse as_evaluated{.reconstructs = data.reconstructs(),
                            .outputs = prepared_.network->model().outputs()};
  RowUse use = as_evaluated;
  use.augmentation = &prepared_.augmentation;
  use.weights = data.row_weights;
  const auto of_training = [&](const RowUse& for_use) {
    return std::make_unique<ListedRows>(*data.opened.train, data.scalings, std::vector<std::int64_t>{},
                                        for_use);
  };
  training_rows_ = of_training(use);
  population_rows_ = of_training(as_evaluated);
  evaluated_ = std::make_unique<EvaluatedModel>(world_, *prepared_.network, *step_, *prepared_.order,
                                                *population_rows_, evaluation);
}

void Training::make_evaluators() {
  const PreparedData& data = *prepared_.data;
  std::vector<std::int64_t> sizes;
  const RowFacts facts = row_facts();
  const auto add = [&](std::unique_ptr<ListedRows>& source, std::unique_ptr<Evaluator>& evaluator,
                       const data::DataSet& set, std::vector<std::int64_t> list, const Measures& measures) {
    source = std::make_unique<ListedRows>(
        set, data.scalings, std::move(list),
        RowUse{.reconstructs = data.reconstructs(), .outputs = prepared_.network->model().outputs()});
    evaluator = std::make_unique<Evaluator>(world_, team_, *source, source->size(), facts, measures);
    for (const std::int64_t size : Evaluator::sizes(source->size())) sizes.push_back(size);
  };
  const Measures measures = prepared_.metrics.measures();
  if (prepared_.has_validation)
    add(validation_rows_, validation_, data.validation_set(), data.split.validation.list(), measures);
  if (prepared_.has_test)
    add(test_rows_, test_, *data.opened.test, data::RowSet::all(data.opened.test->facts().rows).list(),
        measures.with_details(facts));
  inference_ =
      std::make_unique<nn::InferencePass>(*prepared_.network, prepared_.loss, data.form, team_.size(), sizes);
}

RowFacts Training::row_facts() const {
  return prepared_.data->row_facts(prepared_.network->model().outputs());
}

std::vector<std::string> Training::metrics_columns() const {
  std::vector<std::string> columns = {"epoch", "step", "samples", "lr"};
  for (const auto& name : prepared_.metric_names) columns.push_back("train_" + name);
  if (prepared_.has_validation)
    for (const auto& name : prepared_.evaluated()) columns.push_back("val_" + name);
  columns.insert(columns.end(), {"penalty", "noise_scale"});
  return columns;
}

void Training::initialise() {
  prepared_.network->initialise(configuration_.seed, step_->parameters().data(), step_->statistics().data());
}

double Training::samples_per_second() const {
  return static_cast<double>(row_samples_) / std::max(1e-9, step_->seconds().total - row_start_.total);
}

Training::Taken Training::take_step(StepRequests requests) {
  const Plan& plan = prepared_.plan;
  const auto rows = prepared_.data->split.training.size();
  const std::int64_t step = progress_.step + 1, epoch = progress_.step / plan.steps_per_epoch;
  const std::int64_t place = progress_.step % plan.steps_per_epoch * plan.batch;
  const std::int64_t batch = std::min(plan.batch, rows - place);
  Taken taken;
  taken.rate = prepared_.schedule(progress_.horizon).rate(step, progress_.schedule);
  requests.observe = logs_gradients(step) || observes_noise(step);
  const Range mine = step_->rows(batch);
  world_.watchdog().set_phase("step", step);
  const Stopwatch watch;
  prepared_.data->opened.train->approach(*prepared_.order, epoch, place, batch);
  training_rows_->take(*prepared_.order, epoch, place + mine.begin, mine.size());
  taken.result = step_->run(*training_rows_, batch, step, taken.rate, requests);
  world_.watchdog().step_took(watch.seconds());
  take_in(taken.result, step);
  taken.last = step >= plan.total_steps;
  taken.evaluation_due = step % plan.evaluate_every == 0 || taken.last;
  if (step % plan.steps_per_epoch == 0)
    require_same_replicas(world_, *prepared_.network, step_->parameters(), step_->statistics(), step);
  return taken;
}

void Training::take_in(const StepResult& result, std::int64_t step) {
  progress_.step = step;
  progress_.loss_sum += result.loss_sum;
  progress_.correct_sum += result.correct;
  progress_.sum_rows += result.rows;
  row_samples_ += result.rows;
  if (observes_noise(step))
    NoiseScale::take_in(progress_.noise, result.observation->pass, result.observation->gradient_square,
                        result.rows);
}

bool Training::logs_gradients(std::int64_t step) const {
  return configuration_.log_gradients && is_gradient_step(step, prepared_.plan.evaluate_every);
}

/// One shard, or one row, tells nothing of the noise.
bool Training::observes_noise(std::int64_t step) const {
  return step % NoiseScale::kEvery == 0 && prepared_.plan.shards > 1 && prepared_.plan.batch > 1;
}

std::int64_t Training::samples_done() const {
  const Plan& plan = prepared_.plan;
  const auto rows = prepared_.data->split.training.size();
  return progress_.step / plan.steps_per_epoch * rows +
         std::min(rows, progress_.step % plan.steps_per_epoch * plan.batch);
}

Evaluation Training::evaluate() {
  world_.watchdog().set_phase("the evaluation after step", progress_.step);
  Evaluation evaluation;
  Metrics& metrics = evaluation.metrics;
  put_metrics(metrics, "train_", {progress_.loss_sum, progress_.correct_sum}, progress_.sum_rows);
  step_->wait_for_parameters();
  const StepSeconds before = row_start_, now = step_->seconds();
  evaluation.spent = {now.total - before.total, now.read - before.read, now.wait - before.wait,
                      now.communicate - before.communicate};
  evaluation.samples = row_samples_;
  if (progress_.step > 0) evaluated_->refresh();
  if (prepared_.has_validation) {
    inference_->set(evaluated_->parameters().data(), evaluated_->statistics().data());
    put_metrics(metrics, "val_", run_of(*validation_), prepared_.metrics);
  }
  evaluation.row = row_of(metrics);
  history_.append(evaluation.row);
  judge(evaluation);
  progress_.loss_sum = progress_.correct_sum = 0;
  progress_.sum_rows = 0;
  row_start_ = step_->seconds();
  row_samples_ = 0;
  return evaluation;
}

std::vector<double> Training::row_of(const Metrics& metrics) const {
  const double epoch =
      static_cast<double>(progress_.step) / static_cast<double>(prepared_.plan.steps_per_epoch);
  const double rate = progress_.step == 0
                          ? 0.0
                          : prepared_.schedule(progress_.horizon).rate(progress_.step, progress_.schedule);
  std::vector<double> row = {epoch, static_cast<double>(progress_.step), static_cast<double>(samples_done()),
                             rate};
  for (const auto& name : prepared_.metric_names) row.push_back(metrics.at("train_" + name));
  if (prepared_.has_validation)
    for (const auto& name : prepared_.evaluated()) row.push_back(metrics.at("val_" + name));
  row.push_back(step_->penalty());
  row.push_back(NoiseScale::value(progress_.noise));
  return row;
}

/// Whether it is the best, what the schedule makes of it, and whether it is the last.
void Training::judge(Evaluation& evaluation) {
  const Metrics& metrics = evaluation.metrics;
  const Stopping& stopping = *prepared_.stopping;
  evaluation.best = stopping.update(progress_.stopping, metrics, progress_.step);
  if (const optim::Schedule schedule = prepared_.schedule(progress_.horizon); schedule.is_adaptive())
    schedule.observe(progress_.schedule, metrics.at(stopping.metric()), larger_is_better(stopping.metric()));
  if (prepared_.goal && progress_.goal_step < 0 && prepared_.goal->reached(metrics)) {
    progress_.goal_step = progress_.step;
    progress_.goal_samples = samples_done();
    progress_.ended = Progress::kGoal;
    evaluation.must_stop = true;
  } else if (stopping.must_stop(progress_.stopping)) {
    progress_.ended = Progress::kEarlyStopping;
    evaluation.must_stop = true;
  }
}

std::string Training::reason_of_end(const std::string& goal) const {
  if (progress_.ended == Progress::kNot) return "";
  if (progress_.ended == Progress::kGoal) return "goal reached: " + goal;
  if (progress_.ended == Progress::kAllSteps) return kAllStepsDone;
  return text("early stopping: ", prepared_.stopping->metric(), " has not improved in ",
              prepared_.stopping->patience(), " evaluations");
}

Measured Training::run_of(Evaluator& evaluator) const {
  return evaluator.run(*inference_, prepared_.data->target_scaling());
}

std::vector<Example> Training::most_wrong(bool on_test_set) const {
  const ListedRows& rows = on_test_set ? *test_rows_ : *validation_rows_;
  return train::most_wrong(world_, team_, rows, rows.size(), *inference_,
                           prepared_.network->model().outputs());
}

Measured Training::measure(const ModelValues& model, bool on_test_set) {
  inference_->set(model.parameters.data(), model.statistics.data());
  if (on_test_set) return run_of(*test_);
  Evaluator detailed(world_, team_, *validation_rows_, validation_->rows(), row_facts(),
                     prepared_.metrics.measures().with_details(row_facts()));
  return run_of(detailed);
}

}  // namespace trainer::train
