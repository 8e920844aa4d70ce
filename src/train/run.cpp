#include "trainer/train/run.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "announce.h"
#include "compare.h"
#include "dry_run.h"
#include "ending.h"
#include "evaluated_model.h"
#include "gradient_log.h"
#include "keeper.h"
#include "records.h"
#include "restore.h"
#include "snapshot.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/grammar.h"
#include "trainer/train/deadline.h"
#include "trainer/train/evaluator.h"
#include "trainer/train/noise_scale.h"
#include "trainer/train/replicas.h"
#include "trainer/train/self_test.h"
#include "trainer/train/signals.h"
#include "trainer/train/step.h"

namespace trainer::train {
namespace {

/// The clock's part, on rank 0 alone: what it decides, the others are told. Collective.
std::optional<Deadline> make_deadline(const comm::Communicator& world, const Configuration& configuration) {
  std::optional<Deadline> deadline;
  comm::on_first_rank(world, [&] { deadline.emplace(configuration); });
  return deadline;
}

/// One run, from the first step (or the one after a checkpoint) to its end.
class Session {
 public:
  Session(const comm::Communicator& world, const comm::Communicator& node, const RunRequest& request)
      : deadline_(make_deadline(world, request.configuration)),
        world_(world),
        request_(request),
        configuration_(request.configuration),
        team_(request.threads),
        prepared_(prepare(world, node, configuration_, request.threads)) {}

  int run() {
    compare_ranks();
    make_passes();
    open_folder();
    progress_.horizon = prepared_.plan.total_steps;
    if (request_.resume)
      restore();
    else
      initialise();
    if (has_ended()) return finish({0, reason_of_end(), has_final_records()});
    if (progress_.ended == Progress::kGoal) progress_.goal_step = -1;  // another goal was given
    progress_.ended = Progress::kNot;
    announce();
    if (!request_.resume) {
      Ending ending;
      const bool at_goal = evaluate(ending.reason) && progress_.ended == Progress::kGoal;
      if (!at_goal) progress_.ended = Progress::kNot;
      save();
      keeper_->finish();  // a folder that takes no checkpoint is found out before the first step
      if (at_goal) return finish(ending);
    }
    return finish(train());
  }

 private:
  // ---- before the first step

  /// Whether the run that was resumed has nothing left to do: what ended it still holds.
  bool has_ended() const {
    if (progress_.ended == Progress::kGoal && goal_text_ != configuration_.goal) return false;
    return progress_.ended != Progress::kNot &&
           (progress_.ended != Progress::kAllSteps || progress_.step >= prepared_.plan.total_steps);
  }

  std::string reason_of_end() const {
    if (progress_.ended == Progress::kGoal) return "goal reached: " + configuration_.goal;
    if (progress_.ended == Progress::kAllSteps) return kAllStepsDone;
    return text("early stopping: ", prepared_.stopping->metric(), " has not improved in ",
                prepared_.stopping->patience(), " evaluations");
  }

  /// Collective. Whether the run that has ended also says so; not when it was killed between its last
  /// checkpoint and that.
  bool has_final_records() const {
    std::int64_t there = 0;
    comm::on_first_rank(world_, [&] {
      const report::RunFolder& folder = records_->folder();
      try {
        there =
            folder.read_status().state == report::RunState::finished && !folder.read("result.json").empty();
      } catch (const Error&) {  // missing or none
      }
    });
    world_.broadcast(&there, sizeof(there), 0);
    return there != 0;
  }

  /// From here on a failure is written into the run's records: the run is under way.
  void announce() {
    if (request_.on_folder) request_.on_folder(folder_path_);
    describe_run(world_, prepared_, *step_, request_, folder_path_, *records_);
    if (deadline_ && !deadline_->description().empty())
      records_->note("time limit: " + deadline_->description());
  }

  void compare_ranks() {
    require_same_layout(world_, *prepared_.network);
    comm::require_same(world_, "the configuration",
                       request_.config_text ? request_.config_text(prepared_.resolved) : "");
    comm::together(world_, [&] {
      facts_.arithmetic =
          arithmetic_digest(*prepared_.network, prepared_.loss, prepared_.data.form, *prepared_.optimizer,
                            prepared_.plan.batch, prepared_.plan.shards, request_.threads);
    });
    comm::require_same(world_, "the arithmetic of the processors (digest)", facts_.arithmetic);
    comm::require_same(world_, "the run folder (--out)", configuration_.out);
    facts_.command = request_.command;
    facts_.config = request_.config_text ? request_.config_text(prepared_.resolved) : "";
    facts_.validation = configuration_.validation;
    facts_.split_seed = configuration_.split_seed;
    facts_.seed = configuration_.seed;
    facts_.averages = prepared_.averages;
  }

  void make_passes() {
    world_.watchdog().set_phase("the preparation of the model");
    const Plan& plan = prepared_.plan;
    const auto rows = prepared_.data.split.training.size();
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
    step_ = std::make_unique<Step>(world_, team_, *prepared_.network, prepared_.loss,
                                   prepared_.training_form(), *prepared_.optimizer, settings);
    const RowUse in_evaluation{.reconstructs = prepared_.data.reconstructs(),
                               .outputs = prepared_.network->model().outputs()};
    RowUse use = in_evaluation;
    use.augmentation = &prepared_.augmentation;
    use.weights = prepared_.data.row_weights;
    training_rows_ = std::make_unique<ListedRows>(*prepared_.data.opened.train, prepared_.data.scalings,
                                                  std::vector<std::int64_t>{}, use);
    population_rows_ = std::make_unique<ListedRows>(*prepared_.data.opened.train, prepared_.data.scalings,
                                                    std::vector<std::int64_t>{}, in_evaluation);
    evaluated_ = std::make_unique<EvaluatedModel>(world_, *prepared_.network, *step_, *prepared_.order,
                                                  *population_rows_, evaluation);
    std::vector<std::int64_t> sizes;
    const RowFacts facts = row_facts();
    const auto add = [&](std::unique_ptr<ListedRows>& source, std::unique_ptr<Evaluator>& evaluator,
                         const data::DataSet& set, std::vector<std::int64_t> list, const Measures& measures) {
      source = std::make_unique<ListedRows>(set, prepared_.data.scalings, std::move(list), in_evaluation);
      evaluator = std::make_unique<Evaluator>(world_, team_, *source, source->size(), facts, measures);
      for (const std::int64_t size : Evaluator::sizes(source->size())) sizes.push_back(size);
    };
    if (prepared_.has_validation)
      add(validation_rows_, validation_, prepared_.data.validation_set(),
          prepared_.data.split.validation.list(), prepared_.metrics.measures());
    if (prepared_.has_test)
      add(test_rows_, test_, *prepared_.data.opened.test,
          data::RowSet::all(prepared_.data.opened.test->facts().rows).list(),
          prepared_.metrics.measures().with_details(facts));
    inference_ = std::make_unique<nn::InferencePass>(*prepared_.network, prepared_.loss, prepared_.data.form,
                                                     request_.threads, sizes);
  }

  RowFacts row_facts() const { return prepared_.data.row_facts(prepared_.network->model().outputs()); }

  void open_folder() {
    std::optional<report::RunFolder> folder;
    comm::on_first_rank(world_, [&] {
      folder = request_.resume ? report::RunFolder::open(configuration_.out)
                               : report::RunFolder::create(configuration_.out, prepared_.data.facts().name);
    });
    folder_path_ = world_.broadcast(folder ? folder->path() : std::string(), 0);
    records_ = std::make_unique<Records>(std::move(folder), configuration_, request_.out);
    keeper_ = std::make_unique<Keeper>(world_, prepared_, facts_, *records_, configuration_.keep);
    history_.columns = metrics_columns();
    history_.values.resize(history_.columns.size());
  }

  void initialise() {
    prepared_.network->initialise(configuration_.seed, step_->parameters().data(),
                                  step_->statistics().data());
    if (configuration_.init != "auto") take_weights(configuration_.init);
    comm::on_first_rank(world_, [&] {
      report::RunFolder& folder = records_->folder();
      folder.write("config.ini", facts_.config);
      folder.write_status({report::RunState::running, 0, 0, "", ""});
      records_->open_files(history_.columns, false, {});
    });
    write_environment(world_, request_, facts_, *records_);
  }

  /// `--init FILE|RUN`.
  void take_weights(const std::string& source) {
    comm::on_first_rank(world_, [&] {
      const std::string file = std::filesystem::is_directory(source)
                                   ? (std::filesystem::path(source) / "best.h5").string()
                                   : source;
      set_model(*prepared_.network, checkpoint::read_weights(file), true, "--init " + file,
                step_->parameters(), step_->statistics());
    });
    broadcast_model();
  }

  void broadcast_model() const {
    broadcast_values(step_->parameters());
    broadcast_values(step_->statistics());
  }

  /// Rank 0's values on every rank.
  void broadcast_values(std::span<float> values) const {
    world_.broadcast(values.data(), static_cast<std::int64_t>(values.size_bytes()), 0);
  }

  /// The newest good checkpoint of the run, on every rank.
  void restore() {
    world_.watchdog().set_phase("the reading of the checkpoint");
    Restored from;
    comm::on_first_rank(world_, [&] {
      from = restore_run(prepared_, facts_, request_, history_.columns, *records_);
      std::ranges::copy(from.model.parameters, step_->parameters().begin());
      std::ranges::copy(from.model.statistics, step_->statistics().begin());
      progress_ = from.progress;
      goal_text_ = checkpoint::get<std::string>(from.file.progress, "goal", from.where);
      history_ = std::move(from.history);
      best_ = from.best;
      keeper_->continue_from("checkpoints/" + checkpoint::step_file_name(progress_.step), best_);
      reopen_logs();
      if (!has_ended()) {
        records_->folder().write("config.ini", facts_.config);  // what is free may have changed
        records_->note(text("resumed from ", from.where, " at step ", progress_.step));
        records_->folder().write_status(
            {report::RunState::running, 0, progress_.step, "", keeper_->newest()});
      }
    });
    broadcast_model();
    world_.broadcast(&progress_, sizeof(progress_), 0);
    goal_text_ = world_.broadcast(goal_text_, 0);
    if (facts_.averages && progress_.step > 0) {
      from.average.parameters.resize(step_->parameters().size());
      from.average.statistics.resize(step_->statistics().size());
      broadcast_values(from.average.parameters);
      broadcast_values(from.average.statistics);
      step_->set_average(from.average.parameters, from.average.statistics);
    }
    prepared_.data.scalings = share_scalings(world_, from.scalings);
    scatter_optimizer(world_, prepared_, from.file.optimizer, *step_);
  }

  /// The CSV files as the checkpoint counts them; what was deleted is made again as far as it can be.
  void reopen_logs() {
    const report::RunFolder& folder = records_->folder();
    RowCounts& rows = progress_.csv_rows;
    if (!folder.has("timing.csv")) rows.timing = 0;
    if (!folder.has("steps.csv")) rows.steps = 0;
    if (!folder.has("gradients.csv")) rows.gradients = 0;
    if (!folder.has("metrics.csv")) rebuild_metrics(folder.file("metrics.csv"), history_);
    records_->open_files(history_.columns, true, rows);
  }

  std::vector<std::string> metrics_columns() const {
    std::vector<std::string> columns = {"epoch", "step", "samples", "lr"};
    for (const auto& name : prepared_.metric_names) columns.push_back("train_" + name);
    if (prepared_.has_validation)
      for (const auto& name : prepared_.evaluated()) columns.push_back("val_" + name);
    columns.insert(columns.end(), {"penalty", "noise_scale"});
    return columns;
  }

  // ---- training

  Ending train() {
    const optim::Schedule schedule = prepared_.schedule(progress_.horizon);
    double saved_at = records_->seconds();
    row_start_ = step_->seconds();
    first_step_ = progress_.step;
    bool first = true;
    const auto rows = prepared_.data.split.training.size();
    const Plan& plan = prepared_.plan;
    while (progress_.step < plan.total_steps) {
      const std::int64_t step = progress_.step + 1, epoch = progress_.step / plan.steps_per_epoch;
      const std::int64_t place = progress_.step % plan.steps_per_epoch * plan.batch;
      const std::int64_t batch = std::min(plan.batch, rows - place);
      const double rate = schedule.rate(step, progress_.schedule);
      StepRequests requests;
      bool time_is_up = false;
      if (request_.signals != nullptr)
        requests = {request_.signals->stop(), request_.signals->take_checkpoint()};
      if (world_.rank() == 0) {  // what the clock decides, rank 0 decides
        time_is_up = deadline_->is_reached();
        requests.stop = requests.stop || time_is_up;
        requests.checkpoint =
            requests.checkpoint ||
            (plan.checkpoint_seconds > 0 && records_->seconds() - saved_at >= plan.checkpoint_seconds);
      }
      const bool log_gradients = configuration_.log_gradients && is_gradient_step(step, plan.evaluate_every);
      requests.observe = log_gradients || observes_noise(step);
      const Range mine = step_->rows(batch);
      world_.watchdog().set_phase("step", step);
      const Stopwatch watch;
      prepared_.data.opened.train->approach(*prepared_.order, epoch, place, batch);
      training_rows_->take(*prepared_.order, epoch, place + mine.begin, mine.size());
      const StepResult result = step_->run(*training_rows_, batch, step, rate, requests);
      world_.watchdog().step_took(watch.seconds());
      take_in(result, step, rate);
      if (log_gradients) write_gradients(*result.observation, step);
      keeper_->look();
      if (first)
        records_->log(text("the first step of this process ended ", four_digits(since_start_.seconds()),
                           " s after its start"));
      first = false;
      const bool last = step == plan.total_steps;
      if (step % plan.steps_per_epoch == 0)
        require_same_replicas(world_, *prepared_.network, step_->parameters(), step_->statistics(), step);
      bool stop = false;
      std::string reason = kAllStepsDone;
      if (step % plan.evaluate_every == 0 || last) stop = evaluate(reason);
      const bool save_now = last || stop || result.stop_requested || result.checkpoint_requested ||
                            (plan.checkpoint_every > 0 && step % plan.checkpoint_every == 0);
      if (last && !stop) progress_.ended = Progress::kAllSteps;
      if (save_now) {
        save();
        saved_at = records_->seconds();
      }
      if (last || stop) return {0, reason};
      if (result.stop_requested) return {75, time_is_up ? "time limit" : "stopped on request"};
    }
    progress_.ended = Progress::kAllSteps;
    return {0, kAllStepsDone};
  }

  void take_in(const StepResult& result, std::int64_t step, double rate) {
    progress_.step = step;
    progress_.loss_sum += result.loss_sum;
    progress_.correct_sum += result.correct;
    progress_.sum_rows += result.rows;
    row_samples_ += result.rows;
    if (observes_noise(step))
      NoiseScale::take_in(progress_.noise, result.observation->pass, result.observation->gradient_square,
                          result.rows);
    if (!records_->active()) return;
    if (records_->with_steps()) {
      records_->steps_row({step, result.loss_sum / static_cast<double>(result.rows), rate,
                           result.gradient_norm, step_->bytes_sent_last_step()});
      ++progress_.csv_rows.steps;
    }
    const Plan& plan = prepared_.plan;
    report::ProgressState state;
    state.epoch = (step - 1) / plan.steps_per_epoch + 1;
    state.epochs = (plan.total_steps + plan.steps_per_epoch - 1) / plan.steps_per_epoch;
    state.step = step;
    state.steps = plan.total_steps;
    state.first_step = first_step_;
    state.loss = progress_.loss_sum / static_cast<double>(progress_.sum_rows);
    if (prepared_.metric_names.size() > 1) {
      state.metric_name = "accuracy";
      state.metric = progress_.correct_sum / static_cast<double>(progress_.sum_rows);
    }
    const StepSeconds& seconds = step_->seconds();
    state.samples_per_second =
        static_cast<double>(row_samples_) / std::max(1e-9, seconds.total - row_start_.total);
    records_->progress(state);
  }

  /// One shard, or one row, tells nothing of the noise.
  bool observes_noise(std::int64_t step) const {
    return step % NoiseScale::kEvery == 0 && prepared_.plan.shards > 1 && prepared_.plan.batch > 1;
  }

  void write_gradients(const StepObservation& seen, std::int64_t step) {
    for (const auto& row : gradient_rows(*prepared_.network, step, seen)) {
      records_->gradients_row(row);
      ++progress_.csv_rows.gradients;
    }
  }

  std::int64_t samples_done() const {
    const Plan& plan = prepared_.plan;
    const auto rows = prepared_.data.split.training.size();
    return progress_.step / plan.steps_per_epoch * rows +
           std::min(rows, progress_.step % plan.steps_per_epoch * plan.batch);
  }

  /// A row of metrics.csv. True when training must end, with the reason.
  bool evaluate(std::string& reason) {
    world_.watchdog().set_phase("the evaluation after step", progress_.step);
    Metrics metrics;
    put_metrics(metrics, "train_", {progress_.loss_sum, progress_.correct_sum}, progress_.sum_rows);
    if (progress_.step > 0) evaluated_->refresh();
    if (prepared_.has_validation) {
      inference_->set(evaluated_->parameters().data(), evaluated_->statistics().data());
      put_metrics(metrics, "val_", run_of(*validation_), prepared_.metrics);
    }
    record(metrics);
    const bool best = prepared_.stopping->update(progress_.stopping, metrics, progress_.step);
    warn_of_nan(metrics.at(prepared_.stopping->metric()));
    if (best && records_->active()) {
      auto model = std::make_shared<BestModel>();
      model->model = copy_of(evaluated_->parameters(), evaluated_->statistics());
      model->progress = progress_;
      best_ = std::move(model);
    }
    if (const optim::Schedule schedule = prepared_.schedule(progress_.horizon); schedule.is_adaptive())
      schedule.observe(progress_.schedule, metrics.at(prepared_.stopping->metric()),
                       larger_is_better(prepared_.stopping->metric()));
    progress_.loss_sum = progress_.correct_sum = 0;
    progress_.sum_rows = 0;
    if (prepared_.goal && progress_.goal_step < 0 && prepared_.goal->reached(metrics)) {
      progress_.goal_step = progress_.step;
      progress_.goal_samples = samples_done();
      progress_.ended = Progress::kGoal;
      goal_seconds_ = records_->seconds();
      reason = reason_of_end();
      return true;
    }
    if (prepared_.stopping->must_stop(progress_.stopping)) {
      progress_.ended = Progress::kEarlyStopping;
      reason = reason_of_end();
      return true;
    }
    return false;
  }

  /// Collective. With the scaling of the moment: a resumed run has that of its checkpoint.
  Measured run_of(Evaluator& evaluator) const {
    return evaluator.run(*inference_, prepared_.data.target_scaling());
  }

  void warn_of_nan(double value) {
    if (progress_.step == 0 || !std::isnan(value) || told_of_nan_) return;
    told_of_nan_ = true;
    records_->note(text(
        "warning: ", prepared_.stopping->metric(), " is nan after step ", progress_.step,
        ": such an evaluation counts as no improvement, and until there is a better one the newest model "
        "is kept as best; take other --validation rows or another metric"));
  }

  void record(const Metrics& metrics) {
    const Plan& plan = prepared_.plan;
    const double epoch = static_cast<double>(progress_.step) / static_cast<double>(plan.steps_per_epoch);
    const double rate = progress_.step == 0
                            ? 0.0
                            : prepared_.schedule(progress_.horizon).rate(progress_.step, progress_.schedule);
    std::vector<double> row = {epoch, static_cast<double>(progress_.step),
                               static_cast<double>(samples_done()), rate};
    for (const auto& name : prepared_.metric_names) row.push_back(metrics.at("train_" + name));
    if (prepared_.has_validation)
      for (const auto& name : prepared_.evaluated()) row.push_back(metrics.at("val_" + name));
    row.push_back(step_->penalty());
    row.push_back(NoiseScale::value(progress_.noise));
    history_.append(row);
    const double since = step_->seconds().total - row_start_.total;
    const double pace = since > 0 ? static_cast<double>(row_samples_) / since : 0;
    comm::on_first_rank(world_, [&] {
      std::vector<report::CsvCell> cells = {row[0], progress_.step, samples_done()};
      cells.insert(cells.end(), row.begin() + 3, row.end());
      records_->metrics_row(cells);
      const StepSeconds& now = step_->seconds();
      records_->timing_row({epoch, progress_.step, records_->seconds(), pace,
                            now.compute() - row_start_.compute(), now.communicate - row_start_.communicate,
                            now.wait - row_start_.wait, now.read - row_start_.read});
      std::string line =
          text("epoch ", format_number(std::round(epoch * 100) / 100), "  step ", progress_.step);
      for (std::size_t c = 4; c + 2 < row.size(); ++c)
        if (!std::isnan(row[c])) line += text("  ", history_.columns[c], " ", four_digits(row[c]));
      if (pace > 0) line += text("  ", report::rate_text(pace), " samples/s");
      records_->note(line);
    });
    ++progress_.csv_rows.metrics;
    ++progress_.csv_rows.timing;
    row_start_ = step_->seconds();
    row_samples_ = 0;
  }

  void save() {
    world_.watchdog().set_phase("the checkpoint of step", progress_.step);
    require_same_replicas(world_, *prepared_.network, step_->parameters(), step_->statistics(),
                          progress_.step);
    keeper_->save(*step_, progress_, history_, best_, configuration_.goal);
    goal_text_ = configuration_.goal;
  }

  // ---- the end

  int finish(const Ending& ending) {
    world_.watchdog().set_phase("the end of the run");
    records_->finish_progress();
    EndingFacts facts;
    facts.ending = ending;
    if (ending.exit_code == 0 && (prepared_.has_test || (prepared_.has_validation && !ending.before))) {
      const ModelValues best = best_on_every_rank();
      inference_->set(best.parameters.data(), best.statistics.data());
      if (prepared_.has_test)
        facts.test = run_of(*test_);
      else {
        Evaluator detailed(world_, team_, *validation_rows_, validation_->rows(), row_facts(),
                           prepared_.metrics.measures().with_details(row_facts()));
        facts.validation = run_of(detailed);
      }
    }
    keeper_->finish();
    const auto bytes = world_.all_gather(step_->bytes_sent());
    comm::on_first_rank(world_, [&] {
      facts.progress = progress_;
      facts.history = &history_;
      facts.best_metric = prepared_.stopping->metric();
      facts.goal = configuration_.goal;
      facts.goal_seconds = goal_seconds_;
      facts.training_seconds = step_->seconds().total;
      facts.checkpoint_seconds = keeper_->stood_still();
      facts.checkpoints = keeper_->saves();
      facts.ranks = world_.size();
      facts.threads = request_.threads;
      facts.bytes = *std::max_element(bytes.begin(), bytes.end());
      facts.bytes_last_step = step_->bytes_sent_last_step();
      facts.weights = weights_digest(*prepared_.network, step_->parameters(), step_->statistics());
      facts.newest_checkpoint = keeper_->newest();
      write_ending(prepared_, facts, *records_, request_.out);
    });
    return ending.exit_code;
  }

  /// Where nothing was ever evaluated as best (no validation, no step), the model as it is.
  ModelValues best_on_every_rank() const {
    ModelValues best = best_
                           ? best_->model
                           : copy_of(std::as_const(*step_).parameters(), std::as_const(*step_).statistics());
    if (progress_.stopping.best_step < 0) return best;
    broadcast_values(best.parameters);
    broadcast_values(best.statistics);
    return best;
  }

  Stopwatch since_start_;
  std::optional<Deadline> deadline_;  ///< rank 0
  const comm::Communicator& world_;
  const RunRequest& request_;
  const Configuration& configuration_;
  Team team_;
  Prepared prepared_;
  RunFacts facts_;
  std::unique_ptr<Step> step_;
  std::unique_ptr<ListedRows> training_rows_, population_rows_, validation_rows_, test_rows_;
  std::unique_ptr<EvaluatedModel> evaluated_;
  std::unique_ptr<Evaluator> validation_, test_;
  std::unique_ptr<nn::InferencePass> inference_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<Keeper> keeper_;
  Progress progress_;
  History history_;
  std::shared_ptr<const BestModel> best_;  ///< rank 0
  std::string folder_path_;
  std::string goal_text_;  ///< that the run had when it was last saved
  StepSeconds row_start_;
  std::int64_t row_samples_ = 0, first_step_ = 0;  // of this process, since the last row
  double goal_seconds_ = 0;
  bool told_of_nan_ = false;
};

}  // namespace

int run_training(const comm::Communicator& world, const RunRequest& request) {
  if (request.dry_run) return describe_dry_run(world, request);
  world.watchdog().set_limit(request.configuration.stall_timeout_seconds);
  world.watchdog().set_phase("the preparation of the data");
  const comm::Communicator node = world.node();
  Session session(world, node, request);
  return session.run();
}

}  // namespace trainer::train
