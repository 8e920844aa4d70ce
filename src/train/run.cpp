#include "trainer/train/run.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "announce.h"
#include "compare.h"
#include "dry_run.h"
#include "ending.h"
#include "gradient_log.h"
#include "keeper.h"
#include "records.h"
#include "restore.h"
#include "snapshot.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/grammar.h"
#include "trainer/train/deadline.h"
#include "trainer/train/replicas.h"
#include "trainer/train/self_test.h"
#include "trainer/train/signals.h"
#include "training.h"

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
        prepared_(prepare(
            world,
            prepare_training_data(world, node, configuration_,
                                  request.resume ? saved_scalings(world, configuration_.out) : std::nullopt),
            configuration_, request.threads)) {
    const std::string note = data::windows_note(world, node, *prepared_.data->opened.train, *prepared_.order,
                                                prepared_.plan.batch);
    if (!note.empty()) prepared_.notes.push_back(note);
  }

  int run() {
    compare_ranks();
    world_.watchdog().set_phase("the preparation of the model");
    training_ = std::make_unique<Training>(world_, team_, prepared_, configuration_);
    open_folder();
    if (request_.resume)
      restore();
    else
      initialise();
    if (has_ended()) return finish({0, training_->reason_of_end(configuration_.goal), has_final_records()});
    Progress& progress = training_->progress();
    if (progress.ended == Progress::kGoal) progress.goal_step = -1;  // another goal was given
    progress.ended = Progress::kNot;
    announce();
    if (!request_.resume) {
      const bool at_goal = evaluate() && progress.ended == Progress::kGoal;
      if (!at_goal) progress.ended = Progress::kNot;
      save();
      keeper_->finish();  // a folder that takes no checkpoint is found out before the first step
      if (at_goal) return finish({0, training_->reason_of_end(configuration_.goal)});
    }
    return finish(train());
  }

 private:
  // ---- before the first step

  /// Whether the run that was resumed has nothing left to do: what ended it still holds.
  bool has_ended() const {
    const Progress& progress = training_->progress();
    if (progress.ended == Progress::kGoal && goal_text_ != configuration_.goal) return false;
    return progress.ended != Progress::kNot &&
           (progress.ended != Progress::kAllSteps || progress.step >= prepared_.plan.total_steps);
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
    describe_run(world_, prepared_, training_->step(), request_, folder_path_, *records_);
    if (deadline_ && !deadline_->description().empty())
      records_->note("time limit: " + deadline_->description());
  }

  void compare_ranks() {
    require_same_layout(world_, *prepared_.network);
    comm::require_same(world_, "the configuration",
                       request_.config_text ? request_.config_text(prepared_.resolved) : "");
    comm::together(world_, [&] {
      facts_.arithmetic =
          arithmetic_digest(*prepared_.network, prepared_.loss, prepared_.data->form, *prepared_.optimizer,
                            prepared_.plan.batch, prepared_.plan.shards, request_.threads);
    });
    comm::require_same(world_, "the arithmetic of the processors (digest)", facts_.arithmetic);
    comm::require_same(world_, "the run folder (--out)", configuration_.out);
    comm::require_same(world_, "--tuning", prepared_.tuning.text());
    facts_.command = request_.command;
    facts_.config = request_.config_text ? request_.config_text(prepared_.resolved) : "";
    facts_.validation = configuration_.validation;
    facts_.split_seed = configuration_.split_seed;
    facts_.seed = configuration_.seed;
    facts_.averages = prepared_.averages;
  }

  void open_folder() {
    std::optional<report::RunFolder> folder;
    comm::on_first_rank(world_, [&] {
      folder = request_.resume ? report::RunFolder::open(configuration_.out)
                               : report::RunFolder::create(configuration_.out, prepared_.data->facts().name);
    });
    folder_path_ = world_.broadcast(folder ? folder->path() : std::string(), 0);
    records_ = std::make_unique<Records>(std::move(folder), configuration_, request_.out);
    keeper_ = std::make_unique<Keeper>(world_, prepared_, facts_, *records_, configuration_.keep);
  }

  void initialise() {
    training_->initialise();
    if (configuration_.init != "auto") take_weights(configuration_.init);
    comm::on_first_rank(world_, [&] {
      report::RunFolder& folder = records_->folder();
      folder.write("config.ini", facts_.config);
      folder.write_status({report::RunState::running, 0, 0, "", ""});
      records_->open_files(training_->columns(), false, {});
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
                training_->step().parameters(), training_->step().statistics());
    });
    broadcast_model();
  }

  void broadcast_model() const {
    broadcast_values(training_->step().parameters());
    broadcast_values(training_->step().statistics());
  }

  /// Rank 0's values on every rank.
  void broadcast_values(std::span<float> values) const {
    world_.broadcast(values.data(), static_cast<std::int64_t>(values.size_bytes()), 0);
  }

  /// The newest good checkpoint of the run, on every rank.
  void restore() {
    world_.watchdog().set_phase("the reading of the checkpoint");
    Restored from;
    Step& step = training_->step();
    Progress& progress = training_->progress();
    comm::on_first_rank(world_, [&] {
      from = restore_run(prepared_, facts_, request_, training_->columns(), *records_);
      std::ranges::copy(from.model.parameters, step.parameters().begin());
      std::ranges::copy(from.model.statistics, step.statistics().begin());
      progress = from.progress;
      goal_text_ = checkpoint::get<std::string>(from.file.progress, "goal", from.where);
      training_->history() = std::move(from.history);
      best_ = from.best;
      keeper_->continue_from("checkpoints/" + checkpoint::step_file_name(progress.step), best_);
      reopen_logs();
      if (!has_ended()) {
        records_->folder().write("config.ini", facts_.config);  // what is free may have changed
        records_->note(text("resumed from ", from.where, " at step ", progress.step));
        records_->folder().write_status({report::RunState::running, 0, progress.step, "", keeper_->newest()});
      }
    });
    broadcast_model();
    world_.broadcast(&progress, sizeof(progress), 0);
    goal_text_ = world_.broadcast(goal_text_, 0);
    if (facts_.averages && progress.step > 0) {
      from.average.parameters.resize(step.parameters().size());
      from.average.statistics.resize(step.statistics().size());
      broadcast_values(from.average.parameters);
      broadcast_values(from.average.statistics);
      step.set_average(from.average.parameters, from.average.statistics);
    }
    scatter_optimizer(world_, prepared_, from.file.optimizer, step);
  }

  /// The CSV files as the checkpoint counts them; what was deleted is made again as far as it can be.
  void reopen_logs() {
    const report::RunFolder& folder = records_->folder();
    RowCounts& rows = training_->progress().csv_rows;
    if (!folder.has("timing.csv")) rows.timing = 0;
    if (!folder.has("steps.csv")) rows.steps = 0;
    if (!folder.has("gradients.csv")) rows.gradients = 0;
    if (!folder.has("metrics.csv")) rebuild_metrics(folder.file("metrics.csv"), training_->history());
    records_->open_files(training_->columns(), true, rows);
  }

  // ---- training

  Ending train() {
    const Plan& plan = prepared_.plan;
    Progress& progress = training_->progress();
    double saved_at = records_->seconds();
    first_step_ = progress.step;
    bool first = true;
    while (progress.step < plan.total_steps) {
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
      const Training::Taken taken = training_->take_step(requests);
      const StepResult& result = taken.result;
      show(taken);
      keeper_->look();
      if (first)
        records_->log(text("the first step of this process ended ", four_digits(since_start_.seconds()),
                           " s after its start"));
      first = false;
      const bool stop = taken.evaluation_due && evaluate();
      const bool save_now = taken.last || stop || result.stop_requested || result.checkpoint_requested ||
                            (plan.checkpoint_every > 0 && progress.step % plan.checkpoint_every == 0);
      if (taken.last && !stop) progress.ended = Progress::kAllSteps;
      if (save_now) {
        save();
        saved_at = records_->seconds();
      }
      if (taken.last || stop) return {0, training_->reason_of_end(configuration_.goal)};
      if (result.stop_requested) return {75, time_is_up ? "time limit" : "stopped on request"};
    }
    progress.ended = Progress::kAllSteps;
    return {0, kAllStepsDone};
  }

  /// What the records and the terminal say of a step.
  void show(const Training::Taken& taken) {
    const StepResult& result = taken.result;
    Progress& progress = training_->progress();
    const std::int64_t step = progress.step;
    if (training_->logs_gradients(step)) {
      for (const auto& row : gradient_rows(*prepared_.network, step, *result.observation)) {
        records_->gradients_row(row);
        ++progress.csv_rows.gradients;
      }
    }
    if (!records_->active()) return;
    if (records_->with_steps()) {
      records_->steps_row({step, result.loss_sum / static_cast<double>(result.rows), taken.rate,
                           result.gradient_norm, training_->step().bytes_sent_last_step()});
      ++progress.csv_rows.steps;
    }
    const Plan& plan = prepared_.plan;
    report::ProgressState state;
    state.epoch = (step - 1) / plan.steps_per_epoch + 1;
    state.epochs = (plan.total_steps + plan.steps_per_epoch - 1) / plan.steps_per_epoch;
    state.step = step;
    state.steps = plan.total_steps;
    state.first_step = first_step_;
    state.loss = progress.loss_sum / static_cast<double>(progress.sum_rows);
    if (prepared_.metric_names.size() > 1) {
      state.metric_name = "accuracy";
      state.metric = progress.correct_sum / static_cast<double>(progress.sum_rows);
    }
    state.samples_per_second = training_->samples_per_second();
    records_->progress(state);
  }

  /// A row of metrics.csv. True when training must end.
  bool evaluate() {
    const Evaluation evaluation = training_->evaluate();
    Progress& progress = training_->progress();
    record(evaluation);
    warn_of_nan(evaluation.metrics.at(prepared_.stopping->metric()));
    if (evaluation.best && records_->active()) {
      auto model = std::make_shared<BestModel>();
      model->model = copy_of(training_->evaluated().parameters(), training_->evaluated().statistics());
      model->progress = progress;
      best_ = std::move(model);
    }
    if (evaluation.must_stop && progress.ended == Progress::kGoal) goal_seconds_ = records_->seconds();
    return evaluation.must_stop;
  }

  void warn_of_nan(double value) {
    const std::int64_t step = training_->progress().step;
    if (step == 0 || !std::isnan(value) || told_of_nan_) return;
    told_of_nan_ = true;
    records_->note(text(
        "warning: ", prepared_.stopping->metric(), " is nan after step ", step,
        ": such an evaluation counts as no improvement, and until there is a better one the newest model "
        "is kept as best; take other --validation rows or another metric"));
  }

  void record(const Evaluation& evaluation) {
    Progress& progress = training_->progress();
    const std::vector<double>& row = evaluation.row;
    const double pace = evaluation.samples_per_second();
    comm::on_first_rank(world_, [&] {
      std::vector<report::CsvCell> cells = {row[0], progress.step, training_->samples_done()};
      cells.insert(cells.end(), row.begin() + 3, row.end());
      records_->metrics_row(cells);
      const StepSeconds& spent = evaluation.spent;
      records_->timing_row({row[0], progress.step, records_->seconds(), pace, spent.compute(),
                            spent.communicate, spent.wait, spent.read});
      std::string line =
          text("epoch ", format_number(std::round(row[0] * 100) / 100), "  step ", progress.step);
      for (std::size_t c = 4; c + 2 < row.size(); ++c)
        if (!std::isnan(row[c])) line += text("  ", training_->columns()[c], " ", four_digits(row[c]));
      if (pace > 0) line += text("  ", report::rate_text(pace), " samples/s");
      records_->note(line);
    });
    ++progress.csv_rows.metrics;
    ++progress.csv_rows.timing;
  }

  void save() {
    const Progress& progress = training_->progress();
    const Step& step = training_->step();
    world_.watchdog().set_phase("the checkpoint of step", progress.step);
    require_same_replicas(world_, *prepared_.network, step.parameters(), step.statistics(), progress.step);
    keeper_->save(step, progress, training_->history(), best_, configuration_.goal);
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
      (prepared_.has_test ? facts.test : facts.validation) = training_->measure(best, prepared_.has_test);
      if (!ending.before) show_case(best);
    }
    keeper_->finish();
    const Step& step = training_->step();
    const auto bytes = world_.all_gather(step.bytes_sent());
    comm::on_first_rank(world_, [&] {
      facts.progress = training_->progress();
      facts.history = &training_->history();
      facts.best_metric = prepared_.stopping->metric();
      facts.goal = configuration_.goal;
      facts.goal_seconds = goal_seconds_;
      facts.seconds = step.seconds();
      facts.checkpoint_seconds = keeper_->stood_still();
      facts.checkpoints = keeper_->saves();
      facts.ranks = world_.size();
      facts.threads = request_.threads;
      facts.tuning = prepared_.tuning.text();
      facts.bytes = *std::max_element(bytes.begin(), bytes.end());
      facts.bytes_last_step = step.bytes_sent_last_step();
      facts.weights = weights_digest(*prepared_.network, step.parameters(), step.statistics());
      facts.newest_checkpoint = keeper_->newest();
      write_ending(prepared_, facts, *records_, request_.out);
    });
    return ending.exit_code;
  }

  /// Collective. For reports. A disk that takes no pictures is no reason for a run to fail.
  void show_case(const ModelValues& best) {
    const PreparedData& data = *prepared_.data;
    const bool of_classes = data.task == "classification" && data.form == nn::TargetForm::classes;
    std::vector<Example> examples;
    if (of_classes) examples = training_->most_wrong(prepared_.has_test);
    comm::on_first_rank(world_, [&] {
      const report::RunFolder& folder = records_->folder();
      try {
        if (!examples.empty())
          write_examples(folder.file("examples.h5"),
                         prepared_.has_test ? *data.opened.test : data.validation_set(), examples);
        if (data.facts().features == 2 && !data.reconstructs())
          write_surface(folder.file("surface.h5"), prepared_, best.parameters.data(), best.statistics.data());
      } catch (const Error& error) {
        records_->note(text("warning: a report will lack pictures: ", error.what()));
      }
    });
  }

  /// Where nothing was ever evaluated as best (no validation, no step), the model as it is.
  ModelValues best_on_every_rank() const {
    const Step& step = training_->step();
    ModelValues best = best_ ? best_->model : copy_of(step.parameters(), step.statistics());
    if (training_->progress().stopping.best_step < 0) return best;
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
  std::unique_ptr<Training> training_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<Keeper> keeper_;
  std::shared_ptr<const BestModel> best_;  ///< rank 0
  std::string folder_path_;
  std::string goal_text_;        ///< that the run had when it was last saved
  std::int64_t first_step_ = 0;  ///< that this process began behind
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
